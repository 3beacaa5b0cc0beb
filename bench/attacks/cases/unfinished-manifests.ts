import { setTimeout as sleep } from 'node:timers/promises'
import type { Attack } from '../attack.js'
import { IMAGE, LARGEST } from '../manifests.js'

/** What of each is sent: so much that 332 of them are all the memory there is for manifests by default. */
const SENT = 800 * 1024

/** Manifests that are pushed, and never to their end. */
export const unfinishedManifests: Attack = {
  name: 'S4-manifests',
  title: '332 PUTs of manifests that do not end, a byte each few seconds',
  seconds: 12,
  prepare: async stage => {
    await stage.farSide.tell('repository', { name: 'attacker/app' })
    return async signal => {
      const headers = { 'content-type': IMAGE, 'content-length': LARGEST }
      const sockets = Array.from({ length: stage.sized({ full: 332, quick: 3 }) }, (_, index) => {
        const path = `/v2/attacker/app/manifests/t${index}`
        const socket = stage.open('PUT', path, { as: 'attacker', headers })
        socket.write(Buffer.alloc(SENT, ' '))
        return socket.resume()
      })
      while (!signal.aborted) {
        await sleep(3_000, undefined, { signal }).catch(() => undefined)
        for (const socket of sockets) if (socket.writable) socket.write(' ')
      }
      return []
    }
  },
}
