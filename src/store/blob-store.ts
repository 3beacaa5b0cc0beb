import type { Digest } from '../oci/digest.js'

/**
 * Bytes by digest, and nothing else: whom they may be served to is not known here. Whatever is stored was verified
 * before; a disk can still lose a bit, so a reader is told whether that has been looked for since.
 */
export interface BlobStore {
  /** A stored blob, held until it is released: it is neither evicted nor closed meanwhile. Throws CacheTrouble. */
  open(digest: Digest): Promise<StoredBlob | undefined>
  /**
   * Room for a blob of `size` bytes on its way in, or for one that grows as it is written when that is not known yet.
   * Throws CacheTrouble when the store cannot take it now.
   */
  ingest(size: number | undefined): Promise<Ingest>
  /** Puts a blob that turned out bad where no later `open` finds it. Who holds it keeps reading what it was. */
  setAside(digest: Digest): Promise<void>
  /** Drops a blob; false when there was none. Who holds it keeps it. */
  remove(digest: Digest): Promise<boolean>
  /** What is stored, least recently used first as far as is known. */
  list(): AsyncIterable<StoredEntry>
  close(): Promise<void>
}

export interface StoredEntry {
  readonly digest: Digest
  /** In bytes, as a reader sees it. */
  readonly size: number
}

/** Bytes that can be read at any position; positional reads share one handle and disturb nobody. */
export interface ReadableBytes {
  /** In bytes. */
  readonly size: number
  /** Reads into `buffer` from `position` on; gives how many bytes, 0 at the end. Throws CacheTrouble. */
  read(buffer: Uint8Array, position: number): Promise<number>
}

export interface StoredBlob extends ReadableBytes {
  /** Whether these bytes were hashed since the process began, or since the file changed. */
  readonly verified: boolean
  markVerified(): void
  /** Ends the hold; further calls do nothing. */
  release(): void
}

/** A blob on its way in: a temporary file that nobody finds under a digest. */
export interface Ingest extends ReadableBytes {
  /** In bytes: what was announced, or else up to where it has been written. */
  readonly size: number
  /** Writes all of `bytes` at `position`, or throws CacheTrouble. */
  write(bytes: Uint8Array, position: number): Promise<void>
  /**
   * Makes the blob durable and findable under its digest, which the caller has checked. The same handle goes on being
   * read through what is returned. Throws CacheTrouble, and then nothing is stored, though reading goes on until
   * `discard`.
   */
  commit(digest: Digest): Promise<StoredBlob>
  /** Gives up what was not committed; further calls, and calls after a commit, do nothing. */
  discard(): Promise<void>
}

/** The cache's own trouble: a full, failing or read-only disk, no more files. It never fails a pull. */
export class CacheTrouble extends Error {
  /** The system's code, such as ENOSPC. */
  readonly code: string

  constructor(code: string, options?: ErrorOptions) {
    super(`The cache failed: ${code}.`, options)
    this.name = 'CacheTrouble'
    this.code = code
  }
}
