import type { Bar, Case } from '../case.js'
import { pull } from '../client/client.js'
import { blobWanted } from '../client/wanted.js'
import { GiB, MiB, newBlob } from '../content.js'
import { cpuPerGiB, peakMemory, throughput } from '../figures.js'
import { sideBySide } from '../side-by-side.js'

const distribution: Bar = {
  against: 'distribution',
  atMost: 0.83,
  hurdle: 'distribution does not hash what it has stored, and has sendfile on plain HTTP',
}
const PLAIN: Bar[] = [
  {
    against: 'nginx apr1',
    atMost: 1,
    hurdle: 'nginx has sendfile, Node.js two copies by the kernel',
  },
  distribution,
]
const SECURE: Bar[] = [
  {
    against: 'nginx apr1',
    atMost: 0.77,
    hurdle: 'both encrypt and copy; what Node.js adds is handing each read to a thread and back',
  },
  distribution,
]

/** A large blob that the server has, as fast as it comes. */
function warmBlob(clients: number, secure: boolean): Case {
  return sideBySide({
    name: `warm-blob-${clients}${secure ? '-tls' : ''}`,
    title: `Warm large blob, ${clients} ${clients > 1 ? 'clients' : 'client'}, ${secure ? 'TLS' : 'plain HTTP'}`,
    servers: ['mirror', 'distribution', 'nginx apr1'],
    secure,
    figures: [cpuPerGiB(...(secure ? SECURE : PLAIN)), throughput(), peakMemory()],
    async prepare({ upstream, verify, sized }, servers) {
      const blob = newBlob(
        clients > 1 ? sized({ full: 256 * MiB, quick: MiB }) : sized({ full: GiB, quick: 9 * MiB }),
      )
      await upstream.add(blob)
      const wanted = blobWanted(blob)
      for (const server of servers) await pull(server, wanted, verify)
      return async server => async () => {
        await Promise.all(Array.from({ length: clients }, () => pull(server, wanted, verify)))
        return blob.size * clients
      }
    },
  })
}

export const warmBlobs = [warmBlob(1, false), warmBlob(16, false), warmBlob(1, true), warmBlob(16, true)]
