import { createHash, randomFillSync } from 'node:crypto'
import { parseDigest, type Digest } from '../../../src/oci/digest.js'

/** Bytes by position, of any length, that take no room; nothing of them repeats at a power of two. */
export class Content {
  readonly size: number
  readonly digest: Digest
  readonly #period: Buffer

  constructor(size: number) {
    this.size = size
    this.#period = randomFillSync(Buffer.alloc(Math.min(size, 1_000_003) * 2))
    const half = this.#period.length / 2
    this.#period.copy(this.#period, half, 0, half)
    const hash = createHash('sha256')
    for (let position = 0; position < size;) {
      const bytes = this.slice(position, size)
      hash.update(bytes)
      position += bytes.length
    }
    const digest = parseDigest(`sha256:${hash.digest('hex')}`)
    if (!digest) throw new Error('no digest')
    this.digest = digest
  }

  /** From `first` up to `end` (exclusive), or as much of that as lies in one piece; not to be written to. */
  slice(first: number, end: number): Buffer {
    const half = this.#period.length / 2
    const start = half === 0 ? 0 : first % half
    return this.#period.subarray(start, start + Math.min(end - first, half))
  }

  /** Whether these are the bytes from `position` on. */
  has(bytes: Uint8Array, position: number): boolean {
    for (let done = 0; done < bytes.length;) {
      const expected = this.slice(position + done, Math.min(this.size, position + bytes.length))
      if (expected.length === 0 || !expected.equals(bytes.subarray(done, done + expected.length)))
        return false
      done += expected.length
    }
    return true
  }
}
