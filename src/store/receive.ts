import type { Readable } from 'node:stream'
import { giveBack } from '../read-buffers.js'

/** Chunks are put together up to about this many bytes while the ones before are being taken. */
const BATCH = 256 * 1024
/** One batch, and the chunk that made it one. */
const ROOM = BATCH + 64 * 1024
/** Room that is kept for the next bodies, in batches. */
const KEPT = 16

const rooms: Buffer[] = []

/**
 * Gives a body's bytes to `take`, in order and one batch at a time; the body waits while too much is held. Resolves at
 * the body's end, or when `take` says (false) that it has enough. Throws when the body breaks off, after all that
 * arrived was taken, and whatever `take` or the signal throws. The body is over in any case.
 */
export async function receive(
  body: Readable,
  take: (bytes: Uint8Array) => Promise<boolean>,
  signal: AbortSignal,
): Promise<void> {
  let held: Uint8Array[] = []
  let size = 0
  let end: { readonly error?: unknown } | undefined
  let notice: () => void = () => undefined
  let room = rooms.pop()

  /** In one piece, in room that is used again and again: each body's taking new room would be work for the collector. */
  function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
    const [only] = chunks
    if (only && chunks.length === 1) return only
    if (!room || room.length < length) room = Buffer.allocUnsafeSlow(Math.max(length, ROOM))
    let end = 0
    for (const chunk of chunks) {
      room.set(chunk, end)
      end += chunk.length
    }
    return room.subarray(0, end)
  }

  body.on('data', (chunk: unknown) => {
    if (!(chunk instanceof Uint8Array)) {
      body.destroy(new TypeError('A body of bytes gave something else.'))
      return
    }
    held.push(chunk)
    size += chunk.length
    if (size >= BATCH) body.pause()
    notice()
  })
  const over = (how: { readonly error?: unknown }): void => {
    end ??= how
    notice()
  }
  body.on('end', () => over({}))
  body.on('error', error => over({ error }))
  body.on('close', () => over({ error: new Error('The body broke off.') }))
  // It may have broken off before anybody listened.
  if (body.destroyed) over({ error: body.errored ?? new Error('The body broke off.') })
  const leave = (): void => void body.destroy()
  signal.addEventListener('abort', leave, { once: true })

  try {
    signal.throwIfAborted()
    for (;;) {
      if (size === 0) {
        if (end) break
        // What arrives in the same turn of the event loop is taken together.
        await new Promise<void>(resolve => {
          notice = () => {
            notice = () => undefined
            setImmediate(resolve)
          }
        })
        continue
      }
      const chunks = held
      const bytes = joined(chunks, size)
      held = []
      size = 0
      const more = await take(bytes)
      for (const chunk of chunks) giveBack(chunk)
      signal.throwIfAborted()
      if (!more) return
      if (!end) body.resume()
    }
    signal.throwIfAborted()
    if ('error' in end) throw end.error
  } finally {
    signal.removeEventListener('abort', leave)
    body.destroy()
    if (room?.length === ROOM && rooms.length < KEPT) rooms.push(room)
  }
}

/** Ends a body that nobody reads. */
export function abandon(body: Readable): void {
  body.on('error', () => undefined)
  body.destroy()
}
