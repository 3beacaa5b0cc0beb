/** How a request for a blob met the cache; `X-Cache` says it. */
export type CacheResult = 'hit' | 'miss' | 'join'

/**
 * A reader's hold on a blob, finished or growing. It costs no memory, and how fast it reads is nobody else's matter.
 */
export interface Lease {
  /** Of the whole blob, in bytes. */
  readonly size: number
  readonly result: CacheResult
  /**
   * Reads into `buffer` from `position` on, and waits while there is nothing there yet. Gives how many bytes, 0 at the
   * end. Throws when the rest is not to be had: an OciError, a DigestMismatch, CacheTrouble, or the signal's reason.
   * A whole answer (`whole`) gets the last bytes only once the digest is right; a range is not held back, but a
   * mismatch found meanwhile ends it too.
   */
  read(buffer: Uint8Array, position: number, whole: boolean, signal: AbortSignal): Promise<number>
  /** Says that bytes from `position` on are wanted next; those are fetched first. */
  want(position: number): void
  /** Ends the hold; further calls do nothing. */
  release(): void
}

export { DigestMismatch } from '../oci/digest.js'
