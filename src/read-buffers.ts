import type { OnReadOpts, Socket } from 'node:net'

/** Below this share of a buffer what was read is copied out of it, so that little bytes do not hold much memory. */
const WORTH_A_BUFFER = 1 / 4
/** What is kept of each size for the next reads, in bytes. */
const KEPT = 4 * 1024 * 1024

/** Of every buffer that holds what was read into it last, how many bytes that is. */
const lent = new WeakMap<ArrayBufferLike, number>()
const idle = new Map<number, Uint8Array[]>()

/**
 * How a socket is to read (as net.connect is told) into buffers of `size` bytes that are used again. What it gives is
 * its reader's for good, as with any socket; only what is given back is overwritten.
 */
export function readsInto(size: number): OnReadOpts {
  return {
    buffer: () => shelf(size).pop() ?? Buffer.allocUnsafeSlow(size),
    callback(this: Socket, count: number, buffer: Uint8Array): boolean {
      const bytes = buffer.subarray(0, count)
      if (count >= size * WORTH_A_BUFFER) {
        lent.set(buffer.buffer, count)
        return this.push(bytes)
      }
      shelf(size).push(buffer)
      return this.push(Buffer.from(bytes))
    },
  }
}

/**
 * Says that a chunk is not read any more by anybody. One that is less than what was read at once, or that came from
 * elsewhere, is left alone: others may have the rest.
 */
export function giveBack({ buffer, length }: Uint8Array): void {
  if (lent.get(buffer) !== length) return
  lent.delete(buffer)
  const kept = shelf(buffer.byteLength)
  if ((kept.length + 1) * buffer.byteLength <= KEPT) kept.push(Buffer.from(buffer))
}

function shelf(size: number): Uint8Array[] {
  const there = idle.get(size)
  if (there) return there
  const made: Uint8Array[] = []
  idle.set(size, made)
  return made
}
