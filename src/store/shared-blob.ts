import type { Digest } from '../oci/digest.js'
import { CacheTrouble, type ReadableBytes } from './blob-store.js'
import type { CacheResult, Lease } from './lease.js'
import { Wakers } from './wakers.js'

/** The last bytes of a blob, which a whole answer gets only once the digest is right. */
const TAIL = 64 * 1024

export interface SharedBlobOptions {
  readonly digest: Digest
  readonly bytes: ReadableBytes
  /** Whether the digest is known to be right already. */
  readonly verified: boolean
  /** The end (exclusive) of what is there from a position on. */
  readonly readableTo: (position: number) => number
  /** Learns that a reader waits for the byte at `position`, or will. */
  readonly onWanted?: (position: number) => void
}

/** The bytes of one blob, finished or growing, and everybody who reads them: one handle, and nobody's pace. */
export class SharedBlob {
  readonly digest: Digest
  readonly size: number
  #bytes: ReadableBytes
  #verified: boolean
  #failure: Error | undefined
  #cut: Error | undefined
  readonly #readableTo: (position: number) => number
  readonly #onWanted: ((position: number) => void) | undefined
  readonly #wakers = new Wakers()
  readonly #readers = new Set<{ position: number }>()

  constructor({ digest, bytes, verified, readableTo, onWanted }: SharedBlobOptions) {
    this.digest = digest
    this.size = bytes.size
    this.#bytes = bytes
    this.#verified = verified
    this.#readableTo = readableTo
    this.#onWanted = onWanted
  }

  get isCut(): boolean {
    return this.#cut !== undefined
  }

  /** Where the readers are. */
  *positions(): Generator<number> {
    for (const { position } of this.#readers) yield position
  }

  /** More bytes are there. */
  grown(): void {
    this.#wakers.wake()
  }

  /** The digest is right: nothing is held back any more. */
  reveal(): void {
    this.#verified = true
    this.#wakers.wake()
  }

  /** The same bytes are read through something else from now on. */
  readThrough(bytes: ReadableBytes): void {
    this.#bytes = bytes
  }

  /** No more bytes will come, nor a verdict on them; what is there stays readable. */
  fail(error: Error): void {
    this.#failure ??= error
    this.#wakers.wake()
  }

  /** The bytes are wrong, or will be gone: nothing is read any more. */
  cut(error: Error): void {
    this.#cut ??= error
    this.#wakers.wake()
  }

  /** Waits until the first `position` bytes are there; throws when they will not be. */
  async reached(position: number, signal: AbortSignal): Promise<void> {
    while (this.#readableTo(0) < position) {
      this.#throwIfOver()
      await this.#wakers.wait(signal)
    }
    if (this.#cut) throw this.#cut
  }

  lease(result: CacheResult, onRelease: () => void): Lease {
    const reader = { position: 0 }
    this.#readers.add(reader)
    return {
      size: this.size,
      result,
      read: async (buffer, position, whole, signal) => {
        if (!this.#readers.has(reader)) throw new Error('This lease was released.')
        reader.position = position
        return this.#read(buffer, position, whole, signal)
      },
      want: position => {
        reader.position = position
        this.#onWanted?.(position)
      },
      release: () => {
        if (this.#readers.delete(reader)) onRelease()
      },
    }
  }

  async #read(buffer: Uint8Array, position: number, whole: boolean, signal: AbortSignal): Promise<number> {
    for (;;) {
      signal.throwIfAborted()
      if (this.#cut) throw this.#cut
      const end = this.#endFor(position, whole)
      if (end > position) {
        const count = await this.#bytes.read(buffer.subarray(0, end - position), position)
        this.#throwIfCut()
        if (count === 0 && buffer.length > 0) throw new CacheTrouble('ENODATA')
        return count
      }
      if (position >= this.size && (this.#verified || !whole)) return 0
      if (this.#failure) throw this.#failure
      this.#onWanted?.(position)
      await this.#wakers.wait(signal)
    }
  }

  /** What a reader at `position` may read up to. */
  #endFor(position: number, whole: boolean): number {
    const end = this.#readableTo(position)
    return whole && !this.#verified ? Math.min(end, Math.max(0, this.size - TAIL)) : end
  }

  #throwIfOver(): void {
    if (this.#failure) throw this.#failure
    this.#throwIfCut()
  }

  /** Apart, since what changes during an await is not seen to change by the compiler. */
  #throwIfCut(): void {
    if (this.#cut) throw this.#cut
  }
}
