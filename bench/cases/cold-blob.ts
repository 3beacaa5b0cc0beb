import type { Bar } from '../case.js'
import { pull } from '../client/client.js'
import { blobWanted } from '../client/wanted.js'
import { MiB, newBlob } from '../content.js'
import { cpuInAllPerGiB, cpuPerGiB, peakMemory, wallTime } from '../figures.js'
import { sideBySide } from '../side-by-side.js'
import type { Limits } from '../upstream/order.js'

interface ColdBlob {
  readonly name: string
  readonly upstream: string
  readonly limits: Limits
  readonly time: Bar[]
  readonly cpu: Bar[]
  readonly cpuInAll: Bar[]
}

/** A large blob that nobody has asked for yet. */
const coldBlob = ({ name, upstream: how, limits, time, cpu, cpuInAll }: ColdBlob) =>
  sideBySide({
    name,
    title: `Cold large blob, upstream ${how}`,
    servers: ['mirror', 'distribution', 'nginx apr1', 'straight'],
    figures: [wallTime(...time), cpuPerGiB(...cpu), cpuInAllPerGiB(...cpuInAll), peakMemory()],
    async prepare({ upstream, verify, sized }) {
      const size = sized({ full: 512 * MiB, quick: 9 * MiB })
      await upstream.limit(limits)
      return async server => {
        const blob = newBlob(size)
        await upstream.add(blob)
        return async () => {
          await pull(server, blobWanted(blob), verify)
          return size
        }
      }
    },
  })

export const coldBlobUnlimited = coldBlob({
  name: 'cold-blob',
  upstream: 'unlimited',
  limits: {},
  time: [
    {
      against: 'distribution',
      atMost: 1,
      hurdle:
        'each byte is written, read back and hashed before its last ones go out; distribution passes it through',
    },
  ],
  cpu: [
    {
      against: 'distribution',
      atMost: 1.2,
      hurdle: 'by then distribution has passed it through, and downloads it again to store it',
    },
  ],
  cpuInAll: [{ against: 'distribution', atMost: 1.2 }],
})

export const coldBlobPerConnection = coldBlob({
  name: 'cold-blob-40',
  upstream: 'at 40 MB/s per connection',
  limits: { connection: 40e6 },
  time: [
    { against: 'straight', atMost: 1 / 4 },
    { against: 'distribution', atMost: 1 / 4 },
    { against: 'nginx apr1', atMost: 1 / 4 },
  ],
  cpu: [],
  cpuInAll: [],
})
