import { Client } from '../client/client.js'
import { blobWanted } from '../client/wanted.js'
import { KiB, newBlobs } from '../content.js'
import { sideBySide } from '../side-by-side.js'
import { median } from '../statistics.js'

/** Small blobs that nobody has asked for yet, one after the other: what a way through the server adds to each. */
export const smallMiss = sideBySide<number>({
  name: 'small-miss',
  title: 'Small miss, one after the other',
  servers: ['mirror', 'distribution', 'nginx apr1', 'straight'],
  figures: [
    {
      name: 'median latency',
      unit: 'ms',
      of: ({ done }) => done,
      bars: [{ over: 'straight', atMost: 2, hurdle: 'two more requests on the way, and looks at the disk' }],
    },
  ],
  async prepare({ upstream, verify, sized }) {
    const count = sized({ full: 300, quick: 5 })
    return async server => {
      const blobs = newBlobs(count, 4 * KiB)
      await upstream.add(...blobs)
      return () =>
        Client.with(server, async client => {
          const milliseconds: number[] = []
          for (const blob of blobs) {
            const start = performance.now()
            await client.get(blobWanted(blob), verify)
            milliseconds.push(performance.now() - start)
          }
          return median(milliseconds)
        })
    }
  },
})
