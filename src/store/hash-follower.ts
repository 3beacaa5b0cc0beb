import { digestCheck, type Digest } from '../oci/digest.js'
import { CacheTrouble, type ReadableBytes } from './blob-store.js'

/** Bytes that are read and hashed at a time, unless another number is given. */
export const HASH_CHUNK = 512 * 1024

export interface HashOptions {
  readonly digest: Digest
  readonly bytes: ReadableBytes
  /** Bytes that are read and hashed at a time. */
  readonly chunk?: number
  /** Waits until the bytes before `position` are all there; throws when they will not be. */
  readonly reached: (position: number) => Promise<void>
}

/**
 * Whether the bytes have the digest; they are read back in order as they come to be there. Throws what `reached`
 * throws, and CacheTrouble.
 */
export async function hasDigest({
  digest,
  bytes,
  chunk: length = HASH_CHUNK,
  reached,
}: HashOptions): Promise<boolean> {
  const check = digestCheck(digest)
  const { size } = bytes
  const buffer = Buffer.allocUnsafeSlow(Math.min(length, size))
  for (let position = 0; position < size;) {
    const chunk = buffer.subarray(0, Math.min(length, size - position))
    await reached(position + chunk.length)
    const count = await bytes.read(chunk, position)
    if (count === 0) throw new CacheTrouble('ENODATA')
    check.update(chunk.subarray(0, count))
    position += count
  }
  return check.matches()
}
