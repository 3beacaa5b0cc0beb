import type { Attack } from '../attack.js'
import { IMAGE, LARGEST, manyKeys } from '../manifests.js'
import { pushBoth } from '../push-both.js'

/** What costs most to look through, looked at under one Accept after the other. */
export const manyKeysByAccept: Attack = {
  name: 'S2',
  title: '8 HEADs side by side of manifests with 690,000 keys, each with a new Accept, and PUTs of such',
  seconds: 12,
  prepare: async stage => {
    await stage.farSide.tell('repository', { name: 'attacker/app' })
    const size = stage.sized({ full: LARGEST, quick: 1000 })
    const manifests = Array.from({ length: 4 }, (_, seed) => manyKeys(size, seed))
    for (const [index, manifest] of manifests.entries())
      await pushBoth(stage, 'attacker/app', `k${index}`, manifest)
    return async signal => {
      let heads = 0
      const ask = async (tag: string): Promise<void> => {
        while (!signal.aborted) {
          const accept = `${IMAGE}, application/x-${heads++}`
          await stage.ask(
            'HEAD',
            `/v2/attacker/app/manifests/${tag}`,
            { as: 'attacker', headers: { accept } },
            signal,
          )
        }
      }
      const push = async (): Promise<void> => {
        for (let seed = manifests.length; !signal.aborted; seed++)
          await pushBoth(stage, 'attacker/app', `k${seed % 4}`, manyKeys(size, seed), signal)
      }
      await Promise.all([...Array.from({ length: 8 }, (_, index) => ask(`k${index % 4}`)), push()])
      return [{ name: 'HEADs that were sent', value: heads, unit: '' }]
    }
  },
}
