import { pull } from '../client/client.js'
import { blobWanted } from '../client/wanted.js'
import { MiB, newBlob } from '../content.js'
import { cpuPerGiB, peakMemory, wallTime } from '../figures.js'
import { sideBySide } from '../side-by-side.js'

const CLIENTS = 200

export const memory = sideBySide<number>({
  name: 'memory',
  title: `${CLIENTS} concurrent pulls of 256 MiB, warm`,
  servers: ['mirror', 'distribution', 'nginx apr1'],
  figures: [peakMemory({ atMost: 300 }), wallTime(), cpuPerGiB()],
  async prepare({ upstream, verify, sized }, servers) {
    const blob = newBlob(sized({ full: 256 * MiB, quick: MiB }))
    const clients = sized({ full: CLIENTS, quick: 20 })
    await upstream.add(blob)
    const wanted = blobWanted(blob)
    for (const server of servers) await pull(server, wanted, verify)
    return async server => async () => {
      await Promise.all(Array.from({ length: clients }, () => pull(server, wanted, verify)))
      return blob.size * clients
    }
  },
})
