import type { Digest } from '../oci/digest.js'

/** What is remembered of a file. */
export interface IndexedFile {
  /** In bytes, as a reader sees it. */
  readonly size: number
  /** In bytes, as the disk sees it. */
  readonly allocated: number
}

interface Entry extends IndexedFile {
  verifiedAs: string | undefined
}

/**
 * What is stored, in the order of its last use. It is a hint: the directory is the truth, and the index is rebuilt
 * from it after every start.
 */
export class DiskIndex {
  /** The least recently used first. */
  #entries = new Map<Digest, Entry>()
  #bytes = 0
  /** What was forgotten since the directory is being read, so that an older sight of it does not bring it back. */
  #forgotten: Set<Digest> | undefined

  /** Of all files together, as the disk sees them. */
  get bytes(): number {
    return this.#bytes
  }

  get count(): number {
    return this.#entries.size
  }

  /** Notes a file that was just used. */
  use(digest: Digest, { size, allocated }: IndexedFile): void {
    const known = this.#entries.get(digest)
    this.#entries.delete(digest)
    this.#entries.set(digest, { size, allocated, verifiedAs: known?.verifiedAs })
    this.#bytes += allocated - (known?.allocated ?? 0)
  }

  /** The bytes that are no longer counted. */
  forget(digest: Digest): number {
    this.#forgotten?.add(digest)
    const allocated = this.#entries.get(digest)?.allocated ?? 0
    this.#entries.delete(digest)
    this.#bytes -= allocated
    return allocated
  }

  clear(): void {
    this.#entries.clear()
    this.#bytes = 0
  }

  /** In bytes, as a reader sees it; undefined when nothing is known of such a file. */
  sizeOf(digest: Digest): number | undefined {
    return this.#entries.get(digest)?.size
  }

  /** Under which identity the file was verified last. */
  verifiedAs(digest: Digest): string | undefined {
    return this.#entries.get(digest)?.verifiedAs
  }

  markVerified(digest: Digest, identity: string): void {
    const entry = this.#entries.get(digest)
    if (entry) entry.verifiedAs = identity
  }

  /** The least recently used that `wanted` accepts. */
  oldest(wanted: (digest: Digest) => boolean): Digest | undefined {
    for (const digest of this.#entries.keys()) if (wanted(digest)) return digest
    return undefined
  }

  /** A copy of the order as it is now. */
  inOrder(): { digest: Digest; size: number }[] {
    return Array.from(this.#entries, ([digest, { size }]) => ({ digest, size }))
  }

  /** To be called before the directory is read; `complete` ends it. */
  beginRebuild(): void {
    this.#forgotten = new Set()
  }

  /** Adds what was found in the directory, least recently used first, as older than all that was used since. */
  complete(found: Iterable<readonly [Digest, IndexedFile]>): void {
    const used = this.#entries
    this.#entries = new Map()
    for (const [digest, { size, allocated }] of found) {
      if (used.has(digest) || this.#entries.has(digest) || this.#forgotten?.has(digest)) continue
      this.#entries.set(digest, { size, allocated, verifiedAs: undefined })
      this.#bytes += allocated
    }
    for (const [digest, entry] of used) this.#entries.set(digest, entry)
    this.#forgotten = undefined
  }
}
