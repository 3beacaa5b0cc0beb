import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { CacheTrouble } from '../store/blob-store.js'
import type { Lease } from '../store/lease.js'
import { digestCheck, DigestMismatch, fitsSize, type Digest } from '../oci/digest.js'
import { discard } from '../upstream/discard.js'
import { lendBuffer } from './buffer-budget.js'
import { sendBlob } from './send-blob.js'

/** The bytes of a blob that are to be sent, and where they are when the cache fails in the middle. */
export interface LeasedBytes {
  readonly lease: Lease
  readonly digest: Digest
  /** Zero-based and inclusive. */
  readonly first: number
  readonly last: number
  /** Whether these are all the bytes, whose digest is then made sure of before the last of them go out. */
  readonly whole: boolean
  /** To be awaited before each piece; undefined when it may be read at once. */
  readonly turn: () => Promise<void> | undefined
  /** The bytes from a position on, straight from the upstream. */
  readonly openRest: (position: number) => Promise<Readable>
}

/**
 * Sends bytes of a lease. `begin` writes the headers: at once for a download, which may take its time, and only when
 * there are bytes of a stored blob, so that one that is found bad has not been promised yet. One buffer is all the
 * memory it takes; the file is what stands between a fast upstream and a slow client. On a failure after the headers
 * the connection is cut.
 */
export async function sendLease(
  bytes: LeasedBytes,
  begin: () => void,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const { lease, digest, first, last, whole } = bytes
  // Of nothing there is nothing to hash before it is complete.
  if (whole && !fitsSize(digest, lease.size)) throw new DigestMismatch(digest)
  const lent = lendBuffer(last - first + 1)
  let position = first
  let begun = false
  const beginOnce = (): void => {
    if (!begun) begin()
    begun = true
  }
  try {
    if (lease.result !== 'hit') beginOnce()
    while (position <= last) {
      await bytes.turn()
      const room = lent.buffer.subarray(0, Math.min(lent.buffer.length, last - position + 1))
      const count = await lease.read(room, position, whole, signal)
      if (count === 0) throw new Error('The blob ended early.')
      beginOnce()
      await write(response, room.subarray(0, count), signal)
      position += count
    }
    beginOnce()
    response.end()
  } catch (error) {
    if (!(error instanceof CacheTrouble) || signal.aborted) throw error
    beginOnce()
    await sendRest(bytes, position, response, signal)
  } finally {
    lent.giveBack()
  }
}

/** The cache failed under a reader, who must not notice: the rest comes straight from the upstream. */
async function sendRest(
  bytes: LeasedBytes,
  position: number,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  let rest: Readable | undefined
  try {
    rest = await bytes.openRest(position)
    if (!bytes.whole) {
      await sendBlob(rest, response, undefined)
      return
    }
    // What has been sent already is hashed again, since the digest is of the whole.
    const check = digestCheck(bytes.digest)
    const buffer = Buffer.allocUnsafe(256 * 1024)
    for (let at = 0; at < position;) {
      const count = await bytes.lease.read(
        buffer.subarray(0, Math.min(buffer.length, position - at)),
        at,
        false,
        signal,
      )
      if (count === 0) throw new Error('The blob ended early.')
      check.update(buffer.subarray(0, count))
      at += count
    }
    await sendBlob(rest, response, check)
  } catch (error) {
    if (rest) discard(rest)
    response.destroy()
    throw error
  }
}

/** Resolves when the bytes may be overwritten. A write to a client that left never calls back, so that is heard too. */
function write(response: ServerResponse, bytes: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const left = (): void => reject(signal.reason as Error)
    if (signal.aborted) {
      left()
      return
    }
    signal.addEventListener('abort', left, { once: true })
    response.write(bytes, error => {
      signal.removeEventListener('abort', left)
      if (error) reject(error)
      else resolve()
    })
  })
}
