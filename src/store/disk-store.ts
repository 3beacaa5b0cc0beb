import * as nodeFiles from 'node:fs/promises'
import type { Socket } from 'node:net'
import type { Digest } from '../oci/digest.js'
import { BlobFiles } from './blob-files.js'
import {
  CacheTrouble,
  type BlobStore,
  type Ingest,
  type OpenOptions,
  type StoredBlob,
  type StoredEntry,
  type Suspended,
  type Unfinished,
} from './blob-store.js'
import { DirectoryInUse, type DirectoryLock } from './directory-lock.js'
import { DiskIndex } from './disk-index.js'
import { diskIngest, type DiskIngestOptions } from './disk-ingest.js'
import type { DiskStoreStats } from './disk-store-stats.js'
import type { FileSystem } from './file-system.js'
import { layoutOf, type Layout } from './layout.js'
import { bytesIn } from './part-table.js'
import { PartialFiles } from './partial-files.js'
import { rebuild } from './rebuild.js'
import { Room, type MinFree } from './room.js'
import type { StoreLog } from './store-log.js'
import { takeDirectory } from './take-directory.js'
import { Troubles } from './troubles.js'
import { Turns } from './turns.js'
import { WritePause } from './write-pause.js'

export interface DiskStoreOptions {
  readonly directory: string
  /** In bytes on the disk. */
  readonly maxSize: number
  readonly minFree: MinFree
  readonly log?: StoreLog
  /** The time in milliseconds since 1970. */
  readonly clock?: () => number
  /** Is given whoever connects to the socket that is the directory's lock. */
  readonly onConnection?: ((socket: Socket) => void) | undefined
  /** How long nothing is written after the disk failed, in milliseconds; 30 s by default. */
  readonly writePause?: number
}

const WRITE_PAUSE = 30_000
/** Of `maxSize`, on top of it. */
const QUARANTINE_SHARE = 1 / 20
const PARTIAL_SHARE = 1 / 10

/**
 * Opens a cache directory. Throws DirectoryInUse when another process owns it; with any other trouble the store is
 * there all the same, refuses what it cannot do with CacheTrouble, and recovers by itself.
 */
export async function openDiskStore(
  options: DiskStoreOptions,
  files: FileSystem = nodeFiles,
): Promise<DiskStore> {
  const store = new DiskStore(options, files)
  await store.start()
  return store
}

/** Blobs as files under their digests. */
export class DiskStore implements BlobStore {
  readonly #options: DiskStoreOptions
  readonly #files: FileSystem
  readonly #layout: Layout
  readonly #troubles: Troubles
  readonly #index = new DiskIndex()
  readonly #blobs: BlobFiles
  readonly #partials: PartialFiles
  readonly #room: Room
  readonly #turns = new Turns()
  readonly #closing = new AbortController()
  #lock: DirectoryLock | undefined
  #indexing: Promise<void> = Promise.resolve()
  #indexed = false
  #evictions = 0
  #evictedBytes = 0
  #integrityFailures = 0

  constructor(options: DiskStoreOptions, files: FileSystem) {
    const { directory, maxSize, minFree, log, clock = Date.now, writePause = WRITE_PAUSE } = options
    this.#options = options
    this.#files = files
    this.#layout = layoutOf(directory)
    this.#troubles = new Troubles(new WritePause(writePause, clock), log)
    this.#blobs = new BlobFiles({
      files,
      layout: this.#layout,
      index: this.#index,
      troubles: this.#troubles,
      log,
      clock,
      maxQuarantine: maxSize * QUARANTINE_SHARE,
    })
    this.#partials = new PartialFiles({
      files,
      layout: this.#layout,
      clock,
      maxBytes: maxSize * PARTIAL_SHARE,
    })
    this.#room = new Room({
      index: this.#index,
      maxSize,
      minFree,
      space: () => files.statfs(this.#layout.root),
      evictable: digest => !this.#blobs.inUse(digest),
      evict: digest => this.#evict(digest),
    })
  }

  /** To be called once, before anything else. Throws DirectoryInUse. */
  async start(): Promise<void> {
    try {
      await this.#take()
    } catch (error) {
      if (error instanceof DirectoryInUse) throw error
      this.#troubles.writing(error)
      this.#startIndexing()
    }
  }

  async open(digest: Digest, options?: OpenOptions): Promise<StoredBlob | undefined> {
    this.#closing.signal.throwIfAborted()
    try {
      return await this.#blobs.open(digest, options)
    } catch (error) {
      throw this.#troubles.reading(error)
    }
  }

  async ingest(size: number | undefined, unfinished?: Unfinished): Promise<Ingest> {
    return this.#writing(() => this.#beginIngest(size, unfinished))
  }

  async resume(digest: Digest): Promise<Suspended | undefined> {
    return this.#writing(() => this.#takeOver(digest))
  }

  async setAside(digest: Digest, seen?: StoredBlob): Promise<boolean> {
    try {
      const done = await this.#blobs.setAside(digest, seen)
      if (done) this.#integrityFailures++
      return done
    } catch (error) {
      throw this.#troubles.reading(error)
    }
  }

  async remove(digest: Digest): Promise<boolean> {
    try {
      return await this.#blobs.remove(digest)
    } catch (error) {
      throw this.#troubles.writing(error)
    }
  }

  async *list(): AsyncIterable<StoredEntry> {
    await this.#indexing
    yield* this.#index.inOrder()
  }

  /** Resolves when the index is complete and no eviction goes on. */
  async settled(): Promise<void> {
    await this.#indexing
    await this.#room.settled()
  }

  async stats(): Promise<DiskStoreStats> {
    const space = await this.#files.statfs(this.#layout.directory).catch(() => undefined)
    return {
      bytes: this.#index.bytes,
      maxBytes: this.#options.maxSize,
      entries: this.#index.count,
      reservedBytes: this.#room.reserved,
      freeBytes: space && space.bavail * space.bsize,
      evictions: this.#evictions,
      evictedBytes: this.#evictedBytes,
      integrityFailures: this.#integrityFailures,
      readErrors: this.#troubles.readErrors,
      writeErrors: this.#troubles.writeErrors,
      indexed: this.#indexed,
      writePaused: this.#troubles.writePaused,
    }
  }

  /** A blob's size in bytes as the index has it, which is no use of it; undefined also when it does not know yet. */
  sizeOf(digest: Digest): number | undefined {
    return this.#index.sizeOf(digest)
  }

  /** Lets go of the directory. What is held can still be read, and is to be released all the same. */
  async close(): Promise<void> {
    if (!this.#closing.signal.aborted) this.#closing.abort(new CacheTrouble('ECLOSED'))
    await this.settled()
    await this.#turns.take('directory', async () => {
      await this.#lock?.release()
      this.#lock = undefined
    })
  }

  /** Begins what writes, unless nothing is written now. */
  async #writing<T>(begin: () => Promise<T>): Promise<T> {
    this.#closing.signal.throwIfAborted()
    const paused = this.#troubles.writePaused
    if (paused !== undefined) throw new CacheTrouble(paused)
    try {
      await this.#turns.take('directory', async () => {
        if (!(await this.#lock?.intact())) await this.#take()
      })
      return await begin()
    } catch (error) {
      throw this.#troubles.writing(error)
    }
  }

  async #take(): Promise<void> {
    await this.#lock?.release()
    this.#lock = undefined
    this.#lock = await takeDirectory(this.#files, this.#layout, this.#options.onConnection)
    await this.#partials.thinOut()
    this.#index.clear()
    this.#startIndexing()
  }

  #startIndexing(): void {
    this.#indexed = false
    this.#indexing = this.#indexing.then(async () => {
      try {
        await rebuild(this.#files, this.#layout.blobs, this.#index, this.#closing.signal)
        this.#indexed = true
        await this.#room.relieve()
      } catch (error) {
        if (this.#closing.signal.aborted) return
        this.#options.log?.warn(
          { err: this.#troubles.reading(error) },
          'The cache directory was not read through.',
        )
      }
    })
  }

  async #beginIngest(size: number | undefined, unfinished: Unfinished | undefined): Promise<Ingest> {
    const reservation = await this.#room.reserve(size ?? 0, { unfinished })
    try {
      const path = this.#layout.temporary()
      const handle = await this.#files.open(path, 'wx+', 0o600)
      return this.#ingestInto({ size, handle, path, reservation })
    } catch (error) {
      reservation.end()
      throw error
    }
  }

  async #takeOver(digest: Digest): Promise<Suspended | undefined> {
    const partial = await this.#partials.take(digest)
    if (!partial) return undefined
    const { size, handle, path, present } = partial
    try {
      const reservation = await this.#room.reserve(size, { written: bytesIn(present) })
      return { ingest: this.#ingestInto({ size, handle, path, reservation }), present }
    } catch (error) {
      // It may fit later.
      const kept = await this.#partials.keep(digest, partial).catch(() => false)
      if (!kept) await this.#files.unlink(path).catch(() => undefined)
      await handle.close()
      throw error
    }
  }

  #ingestInto(file: Pick<DiskIngestOptions, 'size' | 'handle' | 'path' | 'reservation'>): Ingest {
    return diskIngest({
      ...file,
      files: this.#files,
      publish: this.#publish,
      keep: this.#keep,
      troubles: this.#troubles,
    })
  }

  readonly #publish: DiskIngestOptions['publish'] = async (digest, size, { handle, path, reservation }) => {
    try {
      this.#closing.signal.throwIfAborted()
      await handle.sync()
      const written = await handle.stat()
      if (written.size !== size) throw new Error(`A blob of ${size} bytes has ${written.size} in its file.`)
      const blob = await this.#blobs.put(digest, handle, path, () => reservation.end())
      this.#troubles.wrote()
      return blob
    } catch (error) {
      throw this.#troubles.writing(error)
    }
  }

  readonly #keep: DiskIngestOptions['keep'] = async (
    digest,
    size,
    { handle, path, reservation },
    present,
  ) => {
    try {
      this.#closing.signal.throwIfAborted()
      const kept = await this.#partials.keep(digest, { handle, path, size, present })
      // What is kept is counted by itself.
      if (kept) reservation.end()
      return kept
    } catch (error) {
      throw this.#troubles.writing(error)
    }
  }

  async #evict(digest: Digest): Promise<number> {
    try {
      const bytes = await this.#blobs.evict(digest)
      this.#evictions++
      this.#evictedBytes += bytes
      return bytes
    } catch (error) {
      throw this.#troubles.writing(error)
    }
  }
}
