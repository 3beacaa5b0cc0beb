import { push } from '../client/push.js'
import { MiB, newBlob } from '../content.js'
import { cpuPerGiB, peakMemory, wallTime } from '../figures.js'
import { sideBySide } from '../side-by-side.js'

const HURDLE =
  'the upstream’s process, the client and the mirror share the cores; it copies each byte four times'

/** distribution's pull-through cache takes no pushes. */
export const pushLayer = sideBySide<number>({
  name: 'push',
  title: 'Push of a large layer, upstream at 100 MB/s in all',
  servers: ['mirror', 'nginx apr1', 'straight'],
  figures: [wallTime({ against: 'straight', atMost: 1.1, hurdle: HURDLE }), cpuPerGiB(), peakMemory()],
  async prepare({ upstream, sized }) {
    const size = sized({ full: 256 * MiB, quick: MiB })
    await upstream.limit({ total: 100e6 })
    return async server => {
      const blob = newBlob(size)
      return async () => {
        await push(server, blob)
        return size
      }
    }
  },
})
