import type { Readable } from 'node:stream'

/** Up to this many bytes are read so that the connection can be used again; a longer rest costs the connection. */
const WORTH_READING = 64 * 1024

/** Gets rid of an answer's body that nobody wants. It takes care of itself: neither waits nor fails. */
export function discard(body: Readable): void {
  let left = WORTH_READING
  body.on('error', () => undefined)
  body.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) body.destroy()
  })
}
