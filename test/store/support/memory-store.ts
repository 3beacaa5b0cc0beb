import type { Digest } from '../../../src/oci/digest.js'
import {
  CacheTrouble,
  type BlobStore,
  type Extent,
  type Ingest,
  type OpenOptions,
  type StoredBlob,
  type Suspended,
} from '../../../src/store/blob-store.js'

type Operation = 'open' | 'ingest' | 'write' | 'read' | 'commit' | 'suspend' | 'setAside'

/** A store in memory, which fails on demand and counts what is held. */
export class MemoryStore implements BlobStore {
  /** Least recently used first. */
  readonly blobs = new Map<Digest, { bytes: Buffer; verified: boolean }>()
  readonly #blobOf = new WeakMap<StoredBlob, { bytes: Buffer; verified: boolean }>()
  /** What fails for as long as it is in here. */
  readonly failing = new Set<Operation>()
  readonly setAsides: Digest[] = []
  readonly suspended = new Map<Digest, { bytes: Buffer; present: readonly Extent[] }>()
  /** Stored blobs that are held, and ingests that are neither committed nor discarded. */
  held = 0
  ingests = 0
  reads = 0
  /** Awaited before each read of a stored blob. */
  beforeRead: (position: number) => Promise<void> = async () => undefined
  /** Awaited before each write of an ingest. */
  beforeWrite: () => Promise<void> = async () => undefined
  /** Awaited before each read of an ingest, and before one is suspended. */
  beforeIngestRead: (position: number) => Promise<void> = async () => undefined
  beforeSuspend: () => Promise<void> = async () => undefined
  /** Awaited before each commit. */
  beforeCommit: () => Promise<void> = async () => undefined
  /** Learns of each write of an ingest. */
  onWrite: (bytes: Uint8Array) => void = () => undefined
  /** Awaited after `open` has looked, and before it says what it found. */
  beforeOpen: () => Promise<void> = async () => undefined

  async open(digest: Digest, { use = true }: OpenOptions = {}): Promise<StoredBlob | undefined> {
    this.#check('open')
    const blob = this.blobs.get(digest)
    if (blob && use) this.#use(digest, blob)
    await this.beforeOpen()
    return blob && this.#hold(blob)
  }

  async ingest(size: number | undefined): Promise<Ingest> {
    this.#check('ingest')
    return this.#ingestInto(Buffer.alloc(size ?? 0), size)
  }

  async resume(digest: Digest): Promise<Suspended | undefined> {
    this.#check('ingest')
    const kept = this.suspended.get(digest)
    this.suspended.delete(digest)
    return kept && { ingest: this.#ingestInto(kept.bytes, kept.bytes.length), present: kept.present }
  }

  async setAside(digest: Digest, seen?: StoredBlob): Promise<boolean> {
    this.#check('setAside')
    this.setAsides.push(digest)
    if (seen && this.#blobOf.get(seen) !== this.blobs.get(digest)) return false
    return this.blobs.delete(digest)
  }

  async remove(digest: Digest): Promise<boolean> {
    return this.blobs.delete(digest)
  }

  async *list(): AsyncIterable<{ digest: Digest; size: number }> {
    for (const [digest, { bytes }] of this.blobs) yield { digest, size: bytes.length }
  }

  async close(): Promise<void> {
    this.blobs.clear()
    this.suspended.clear()
  }

  #ingestInto(bytes: Buffer, size: number | undefined): Ingest {
    this.ingests++
    let suspended = false
    let over = false
    return {
      get size() {
        return bytes.length
      },
      read: async (buffer, position) => {
        await this.beforeIngestRead(position)
        this.#check('read')
        return bytes.copy(buffer, 0, position)
      },
      write: async (chunk, position) => {
        await this.beforeWrite()
        this.#check('write')
        if (over) throw new Error('written after its end')
        const end = position + chunk.length
        if (size !== undefined && end > size) throw new Error('written beyond its end')
        if (end > bytes.length) bytes = Buffer.concat([bytes, Buffer.alloc(end - bytes.length)])
        bytes.set(chunk, position)
        this.onWrite(chunk)
      },
      commit: async digest => {
        await this.beforeCommit()
        this.#check('commit')
        if (over || suspended) throw new Error('committed after its end')
        over = true
        this.ingests--
        const blob = { bytes, verified: true }
        this.#use(digest, blob)
        return this.#hold(blob)
      },
      suspend: async (digest, present) => {
        await this.beforeSuspend()
        this.#check('suspend')
        if (over || suspended) throw new Error('suspended after its end')
        suspended = true
        this.suspended.set(digest, { bytes, present })
        return true
      },
      discard: async () => {
        if (over) return
        over = true
        this.ingests--
      },
    }
  }

  #use(digest: Digest, blob: { bytes: Buffer; verified: boolean }): void {
    this.blobs.delete(digest)
    this.blobs.set(digest, blob)
  }

  #hold(blob: { bytes: Buffer; verified: boolean }): StoredBlob {
    this.held++
    let released = false
    const stored: StoredBlob = {
      size: blob.bytes.length,
      get verified() {
        return blob.verified
      },
      markVerified: () => void (blob.verified = true),
      read: async (buffer, position) => {
        this.reads++
        await this.beforeRead(position)
        this.#check('read')
        if (released) throw new Error('read after its release')
        return blob.bytes.copy(buffer, 0, position)
      },
      release: () => {
        if (!released) this.held--
        released = true
      },
    }
    this.#blobOf.set(stored, blob)
    return stored
  }

  #check(operation: Operation): void {
    if (this.failing.has(operation)) throw new CacheTrouble(`E${operation.toUpperCase()}`)
  }
}
