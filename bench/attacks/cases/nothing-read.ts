import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Attack } from '../attack.js'

const MiB = 1024 * 1024

/** Connections without a login that ask for much and take none of it. */
export const nothingRead: Attack = {
  name: 'S4',
  title: '2,000 connections from one address, without a login, that read nothing',
  seconds: 12,
  prepare: async stage => {
    const digest = await stage.newBlob('public/app', '1.0', 16 * MiB)
    // Cached, so that it is the mirror that they use up and not the way to ECR.
    await stage.ask('GET', `/v2/public/app/blobs/${digest}`)
    return async signal => {
      for (
        let opened = 0;
        opened < stage.sized({ full: 2_000, quick: 20 }) && !signal.aborted;
        opened += 100
      ) {
        // As many as a listener's queue takes at a time.
        const wave = Array.from({ length: 100 }, () =>
          stage.open('GET', `/v2/public/app/blobs/${digest}`).pause(),
        )
        await Promise.all(wave.map(socket => once(socket, 'connect', { signal }).catch(() => undefined)))
      }
      await sleep(60_000, undefined, { signal }).catch(() => undefined)
      return []
    }
  },
}
