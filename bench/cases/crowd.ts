import { pull } from '../client/client.js'
import { blobWanted, type Wanted } from '../client/wanted.js'
import { MiB, newBlob } from '../content.js'
import { peakMemory, wallTime } from '../figures.js'
import { sideBySide } from '../side-by-side.js'

const CLIENTS = 50

interface Done {
  /** Bytes of the blob. */
  readonly size: number
  /** What one client alone took for another one of that size. */
  readonly aloneSeconds: number
}

/** A fleet that pulls one new layer: all want the same cold blob at the same moment. */
export const crowd = sideBySide<Done>({
  name: 'crowd',
  title: `${CLIENTS} clients, one cold blob, upstream at 100 MB/s in all`,
  servers: ['mirror', 'distribution', 'nginx apr1'],
  figures: [
    {
      name: 'upstream bytes',
      unit: '× blob',
      of: ({ upstreamBytes, done }) => upstreamBytes / done.size,
      bars: [{ atMost: 1.005 }],
    },
    {
      name: 'last client',
      unit: '× one alone',
      of: ({ seconds, done }) => seconds / done.aloneSeconds,
      bars: [
        {
          atMost: 1.3,
          hurdle: 'it would be five gigabytes a second to clients, more than one core copies',
        },
      ],
    },
    wallTime(),
    peakMemory(),
  ],
  async prepare({ upstream, verify, sized }) {
    const size = sized({ full: 64 * MiB, quick: MiB })
    const clients = sized({ full: CLIENTS, quick: 8 })
    await upstream.limit({ total: 100e6 })
    const newWanted = async (): Promise<Wanted> => {
      const blob = newBlob(size)
      await upstream.add(blob)
      return blobWanted(blob)
    }
    return async server => {
      const [alone, wanted] = [await newWanted(), await newWanted()]
      const start = performance.now()
      await pull(server, alone, verify)
      const aloneSeconds = (performance.now() - start) / 1000
      return async () => {
        await Promise.all(Array.from({ length: clients }, () => pull(server, wanted, verify)))
        return { size, aloneSeconds }
      }
    }
  },
})
