import { setTimeout as sleep } from 'node:timers/promises'
import type { Attack } from '../attack.js'

const MiB = 1024 * 1024
/** Each would fit beside what the cache has stored, and not beside the push. */
const BLOBS = 3

/** A push that takes most of the cache and never ends, while others pull what is not cached yet. */
export const unfinishedUpload: Attack = {
  name: 'S6',
  title: 'a PATCH of 80 MiB that never ends, of a cache of 100 MiB',
  settings: { cache: { maxSize: '100MiB' } },
  seconds: 15,
  prepare: async stage => {
    await stage.farSide.tell('repository', { name: 'attacker/app' })
    const size = stage.sized({ full: 80 * MiB, quick: MiB })
    const piece = Buffer.alloc(MiB, 'x')
    return async signal => {
      const begun = await stage.ask('POST', '/v2/attacker/app/blobs/uploads/', { as: 'attacker' }, signal)
      const location = new URL(begun?.headers.location ?? '/', stage.mirror.url)
      const headers = { 'content-type': 'application/octet-stream', 'content-length': 10 * size }
      const socket = stage
        .open('PATCH', location.pathname + location.search, { as: 'attacker', headers })
        .resume()
      for (let sent = 0; sent < size && !signal.aborted && socket.writable; sent += MiB)
        if (!socket.write(piece)) await drained(socket, signal)
      const sentBytes = socket.bytesWritten
      let again = 0
      for (let blob = 0; blob < BLOBS && !signal.aborted; blob++) {
        const digest = await stage.newBlob(
          'owner/app',
          String(blob),
          stage.sized({ full: 40 * MiB, quick: MiB }),
        )
        await stage.ownersPull(`/v2/owner/app/blobs/${digest}`)
        const { cache } = await stage.ownersPull(`/v2/owner/app/blobs/${digest}`)
        if (cache !== 'hit') again++
        socket.write('x')
      }
      await sleep(signal.aborted ? 0 : 500)
      return [
        // As much as it is about: otherwise the mirror has refused it, or ended it.
        { name: 'MiB of the push that were sent', value: sentBytes / MiB, unit: '' },
        { name: 'pushes that were ended', value: Number(socket.destroyed), unit: '' },
        { name: `second pulls of ${BLOBS} blobs that are no hit`, value: again, unit: '', atMost: 0 },
      ]
    }
  },
}

function drained(socket: NodeJS.EventEmitter, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      socket.off('drain', done).off('close', done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    socket.on('drain', done).on('close', done)
    signal.addEventListener('abort', done)
  })
}
