import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Attack } from '../attack.js'
import { IMAGE, LARGEST, paddedImage } from '../manifests.js'

/** What of each is sent: so much that 332 of them are all the memory there is for manifests by default. */
const SENT = 800 * 1024
/** What of each is sent in place of one that was refused, to fill what is left. */
const SENT_AGAIN = 64 * 1024

/** Manifests that are pushed, and never to their end. */
export const unfinishedManifests: Attack = {
  name: 'S4-manifests',
  title: '332 PUTs of manifests that do not end, a byte each few seconds',
  seconds: 15,
  prepare: async stage => {
    for (const name of ['attacker/app', 'owner/app']) await stage.farSide.tell('repository', { name })
    return async signal => {
      const headers = { 'content-type': IMAGE, 'content-length': LARGEST }
      const held = new Set<Socket>()
      const hold = (index: number, size: number): void => {
        if (signal.aborted) return
        const path = `/v2/attacker/app/manifests/t${index}`
        const socket = stage.open('PUT', path, { as: 'attacker', headers }).resume()
        socket.write(Buffer.alloc(size, ' '))
        held.add(socket)
        socket.once('close', () => {
          held.delete(socket)
          setTimeout(hold, 200, index, SENT_AGAIN)
        })
      }
      for (let index = 0; index < stage.sized({ full: 332, quick: 3 }); index++) hold(index, SENT)
      let pushes = 0
      let failed = 0
      for (; await waited(stage.sized({ full: 2_000, quick: 200 }), signal); pushes++) {
        for (const socket of held) socket.write(' ')
        const { bytes, mediaType } = paddedImage(
          stage.sized({ full: LARGEST / 4, quick: 1_000 }),
          String(pushes % 10),
        )
        const pushed = await stage.ask('PUT', '/v2/owner/app/manifests/v1', {
          as: 'owner',
          headers: { 'content-type': mediaType },
          body: bytes,
        })
        if (pushed?.status !== 201) failed++
      }
      const name = `of ${pushes} pushes of a manifest by somebody else, those that failed`
      return [{ name, value: failed, unit: '', atMost: 0 }]
    }
  },
}

/** False when the signal has aborted meanwhile. */
function waited(ms: number, signal: AbortSignal): Promise<boolean> {
  return sleep(ms, true, { signal }).catch(() => false)
}
