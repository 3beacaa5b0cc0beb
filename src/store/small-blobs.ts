import { LRUCache } from 'lru-cache'
import { algorithmOf, digestOf, type Digest } from '../oci/digest.js'
import { CacheTrouble } from './blob-store.js'
import type {
  BlobStore,
  Ingest,
  OpenOptions,
  StoredBlob,
  StoredEntry,
  Suspended,
  Unfinished,
} from './blob-store.js'
import { memoryIngest } from './memory-ingest.js'

export interface SmallBlobsOptions {
  /** Of a blob, in bytes. */
  readonly maxSize?: number
  /** Of all together, in bytes. */
  readonly maxMemory?: number
  /** Milliseconds that never go back. */
  readonly clock?: () => number
}

/** How long one is served from memory before the disk is looked at again, which also counts as its use there. */
const IN_MEMORY = 60_000

/**
 * A store, with the small blobs that are read from it also in memory: none is there that was not hashed on its way. Those
 * on their way in are in memory until they are committed.
 */
export class SmallBlobs implements BlobStore {
  readonly #store: BlobStore
  readonly #maxSize: number
  readonly #memory: LRUCache<Digest, Buffer>
  readonly #lent = new WeakMap<StoredBlob, Buffer>()
  /** How often something was dropped, so that what was read before is not kept after. */
  #drops = 0

  constructor(store: BlobStore, options: SmallBlobsOptions = {}) {
    const { maxSize = 64 * 1024, maxMemory = 16 * 1024 * 1024, clock = () => performance.now() } = options
    this.#store = store
    this.#maxSize = maxSize
    this.#memory = new LRUCache({
      maxSize: maxMemory,
      sizeCalculation: bytes => bytes.length + 256,
      ttl: IN_MEMORY,
      ttlResolution: 0,
      perf: { now: clock },
    })
  }

  /** The bytes, if they are in memory. */
  held(digest: Digest): Buffer | undefined {
    return this.#memory.get(digest)
  }

  async open(digest: Digest, options?: OpenOptions): Promise<StoredBlob | undefined> {
    // Who looks without using it wants to know what is on the disk.
    if (options?.use === false) return this.#store.open(digest, options)
    const held = this.#memory.get(digest)
    if (held) return this.#lend(held)
    const drops = this.#drops
    const stored = await this.#store.open(digest, options)
    if (!stored || stored.size > this.#maxSize) return stored
    const bytes = await readWhole(stored)
    if (!bytes) return stored
    if (digestOf(bytes, algorithmOf(digest)) === digest) {
      stored.markVerified()
      if (drops === this.#drops) this.#memory.set(digest, bytes)
      return stored
    }
    if (!stored.verified) return stored
    // Nobody would look at it again, and its bytes are others than they were.
    await this.setAside(digest, stored).finally(() => stored.release())
    return undefined
  }

  async ingest(size: number | undefined, unfinished?: Unfinished): Promise<Ingest> {
    if (size === undefined || size > this.#maxSize) return this.#store.ingest(size, unfinished)
    return memoryIngest(size, () => this.#store.ingest(size))
  }

  resume(digest: Digest): Promise<Suspended | undefined> {
    return this.#store.resume(digest)
  }

  async setAside(digest: Digest, seen?: StoredBlob): Promise<boolean> {
    const bytes = seen && this.#lent.get(seen)
    if (bytes && this.#memory.peek(digest) !== bytes) return false
    return this.#dropping(digest, () => this.#store.setAside(digest, bytes ? undefined : seen))
  }

  async remove(digest: Digest): Promise<boolean> {
    return this.#dropping(digest, () => this.#store.remove(digest))
  }

  list(): AsyncIterable<StoredEntry> {
    return this.#store.list()
  }

  close(): Promise<void> {
    this.#drops++
    this.#memory.clear()
    return this.#store.close()
  }

  /** Dropped again in the end, since it may have been read meanwhile. */
  async #dropping(digest: Digest, drop: () => Promise<boolean>): Promise<boolean> {
    this.#drop(digest)
    try {
      return await drop()
    } finally {
      this.#drop(digest)
    }
  }

  #drop(digest: Digest): void {
    this.#drops++
    this.#memory.delete(digest)
  }

  #lend(bytes: Buffer): StoredBlob {
    const blob: StoredBlob = {
      size: bytes.length,
      verified: true,
      markVerified: () => undefined,
      read: async (buffer, position) => {
        const part = bytes.subarray(position, position + buffer.length)
        buffer.set(part)
        return part.length
      },
      release: () => undefined,
    }
    this.#lent.set(blob, bytes)
    return blob
  }
}

/** Undefined when it cannot be read, which its reader finds out as well. */
async function readWhole(stored: StoredBlob): Promise<Buffer | undefined> {
  const bytes = Buffer.allocUnsafeSlow(stored.size)
  try {
    for (let position = 0; position < bytes.length;) {
      const count = await stored.read(bytes.subarray(position), position)
      if (count === 0) return undefined
      position += count
    }
    return bytes
  } catch (error) {
    if (error instanceof CacheTrouble) return undefined
    stored.release()
    throw error
  }
}
