import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Attack } from '../attack.js'

const MiB = 1024 * 1024
const WAVE = 250
/** How long they are held when all have the beginning of an answer. */
const HELD_MS = 6_000

/** Connections without a login that ask for much and take none of it. */
export const nothingRead: Attack = {
  name: 'S4',
  title: '2,000 connections from one address, without a login, that read nothing',
  seconds: 40,
  prepare: async stage => {
    const digest = await stage.newBlob('public/app', '1.0', 16 * MiB)
    // Cached, so that it is the mirror that they use up and not the way to ECR.
    await stage.ask('GET', `/v2/public/app/blobs/${digest}`, { headers: { connection: 'close' } })
    // Some more than may be open of one address, so that all of those are.
    const wanted = stage.sized({ full: 2_100, quick: 20 })
    return async signal => {
      let answered = 0
      const connect = async (): Promise<void> => {
        const socket = stage.open('GET', `/v2/public/app/blobs/${digest}`).pause()
        const answer = once(socket, 'readable', { signal })
        const refused = once(socket, 'close', { signal })
        await Promise.race([answer.then(() => answered++), refused])
      }
      // In waves, since a listener's queue takes some hundreds at a time.
      for (let begun = 0; begun < wanted && !signal.aborted; begun += WAVE)
        await Promise.allSettled(Array.from({ length: Math.min(WAVE, wanted) }, connect))
      await sleep(HELD_MS, undefined, { signal }).catch(() => undefined)
      return [{ name: 'connections that were answered', value: answered, unit: '' }]
    }
  },
}
