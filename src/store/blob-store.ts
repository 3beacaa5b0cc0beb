import type { Digest } from '../oci/digest.js'
import type { Client } from '../shares.js'

/**
 * Bytes by digest, and nothing else: whom they may be served to is not known here. Whatever is stored was verified
 * before; a disk can still lose a bit, so a reader is told whether that has been looked for since.
 */
export interface BlobStore {
  /** A stored blob, held until it is released: it is neither evicted nor closed meanwhile. Throws CacheTrouble. */
  open(digest: Digest, options?: OpenOptions): Promise<StoredBlob | undefined>
  /**
   * Room for a blob of `size` bytes on its way in, or for one that grows as it is written when that is not known yet.
   * One that is `unfinished` has only a share of all room, and only for as long as nothing else needs it.
   * Throws CacheTrouble when the store cannot take it now: EDQUOT when it would be more than that share.
   */
  ingest(size: number | undefined, unfinished?: Unfinished): Promise<Ingest>
  /**
   * Takes over what an interrupted ingest of the blob left (`Ingest.suspend`); from then on it is the caller's alone.
   * Undefined when there is none. What is in it is as good as the disk that kept it: nobody has checked its digest.
   * Throws CacheTrouble when the store cannot take the blob now.
   */
  resume(digest: Digest): Promise<Suspended | undefined>
  /**
   * Puts a blob that turned out bad where no later `open` finds it; false when there was none. With `seen`, which must be
   * held, only if the digest still leads to those very bytes. Who holds it keeps reading what it was.
   */
  setAside(digest: Digest, seen?: StoredBlob): Promise<boolean>
  /** Drops a blob; false when there was none. Who holds it keeps it. */
  remove(digest: Digest): Promise<boolean>
  /** What is stored, least recently used first as far as is known. */
  list(): AsyncIterable<StoredEntry>
  close(): Promise<void>
}

/** What nobody can read before somebody else has ended it, who may never do so: the bytes of a push. */
export interface Unfinished {
  /** Whose it is. */
  readonly client: Client
  /** Gives it up for the room that it takes. Resolves when nothing of it is left; false when it has ended just now. */
  giveUp(): Promise<boolean>
}

export interface OpenOptions {
  /** Whether this counts as a use, after which the blob is the last to be evicted; true by default. */
  readonly use?: boolean
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

/** Bytes of a blob from `first` to `last`, both inclusive. */
export interface Extent {
  readonly first: number
  readonly last: number
}

export interface Suspended {
  readonly ingest: Ingest
  /** What is there already, in order and apart. */
  readonly present: readonly Extent[]
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
  /**
   * Keeps what was written, which is `present`, for whoever resumes the blob; it takes the place of what was kept
   * before. Reading goes on until `discard`, which leaves what is kept alone. False when there is not the room to keep
   * so much. Throws CacheTrouble, and then nothing is kept.
   */
  suspend(digest: Digest, present: readonly Extent[]): Promise<boolean>
  /** Gives up what was neither committed nor kept; further calls, and calls after a commit, do nothing. */
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
