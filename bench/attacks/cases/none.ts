import { setTimeout as sleep } from 'node:timers/promises'
import type { Attack } from '../attack.js'

/** What the others are held against. */
export const none: Attack = {
  name: 'none',
  title: 'no attack',
  seconds: 5,
  prepare: async () => async signal => {
    await sleep(60_000, undefined, { signal }).catch(() => undefined)
    return []
  },
}
