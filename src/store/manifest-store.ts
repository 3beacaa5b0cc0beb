import { LRUCache } from 'lru-cache'
import { algorithmOf, type Digest } from '../oci/digest.js'
import { CacheTrouble, type BlobStore } from './blob-store.js'
import { digestInTurn } from './digest-in-turn.js'
import { Turns } from './turns.js'

/**
 * Manifests by digest, to the byte. They lie among the blobs, as in an OCI layout, and a few in memory. What a
 * manifest's type is, and whose it is, is not known here.
 */
export interface ManifestStore {
  /** The bytes, which have this digest; undefined when they are not there. Never fails: trouble is told of. */
  read(digest: Digest): Promise<Buffer | undefined>
  /** Takes bytes that have this digest. They can be read at once and are written meanwhile. */
  keep(digest: Digest, bytes: Buffer): void
  /** Drops the bytes; false when there were none. Throws CacheTrouble. */
  remove(digest: Digest): Promise<boolean>
  /** Resolves when all that was taken is written, or cannot be. */
  settled(): Promise<void>
  close(): Promise<void>
}

export interface ManifestStoreOptions {
  readonly store: BlobStore
  /** The largest that is kept, in bytes. */
  readonly maxManifest: number
  readonly onTrouble: (digest: Digest, error: CacheTrouble) => void
  /** A stored one was not what its digest says, and was set aside. */
  readonly onMismatch: (digest: Digest) => void
  /** Of memory, in bytes. */
  readonly maxMemory?: number
}

/** How long one is served from memory before the disk is looked at again, which also counts as its use there. */
const IN_MEMORY = 10 * 60_000

export function createManifestStore({
  store,
  maxManifest,
  onTrouble,
  onMismatch,
  maxMemory = 32 * 1024 * 1024,
}: ManifestStoreOptions): ManifestStore {
  const memory = new LRUCache<Digest, Buffer>({
    maxSize: maxMemory,
    sizeCalculation: bytes => bytes.length + 256,
    ttl: IN_MEMORY,
  })
  const turns = new Turns()
  const writing = new Set<Promise<void>>()

  async function read(digest: Digest): Promise<Buffer | undefined> {
    const held = memory.get(digest)
    if (held) return held
    const bytes = await turns.take(digest, () => readStored(digest)).catch(unlessTrouble(digest))
    if (bytes) memory.set(digest, bytes)
    return bytes
  }

  async function readStored(digest: Digest): Promise<Buffer | undefined> {
    const stored = await store.open(digest)
    if (!stored) return undefined
    try {
      if (stored.size > maxManifest) return undefined
      const bytes = Buffer.alloc(stored.size)
      for (let position = 0; position < bytes.length;) {
        const count = await stored.read(bytes.subarray(position), position)
        if (count === 0) throw new CacheTrouble('ENODATA')
        position += count
      }
      if ((await digestInTurn(bytes, algorithmOf(digest))) === digest) {
        stored.markVerified()
        return bytes
      }
      onMismatch(digest)
      await store.setAside(digest, stored)
      return undefined
    } finally {
      stored.release()
    }
  }

  async function write(digest: Digest, bytes: Buffer): Promise<void> {
    if ((await readStored(digest)) !== undefined) return
    const ingest = await store.ingest(bytes.length)
    try {
      await ingest.write(bytes, 0)
      const stored = await ingest.commit(digest)
      stored.release()
    } finally {
      await ingest.discard()
    }
  }

  function unlessTrouble(digest: Digest): (error: unknown) => undefined {
    return error => {
      if (!(error instanceof CacheTrouble)) throw error
      onTrouble(digest, error)
    }
  }

  async function settled(): Promise<void> {
    await Promise.all(writing)
  }

  return {
    read,
    keep(digest, bytes) {
      // What is held is looked for on the disk again when its time in memory is over, and written there if need be.
      if (bytes.length > maxManifest || memory.has(digest)) return
      memory.set(digest, bytes)
      const written = turns
        .take(digest, () => write(digest, bytes))
        .catch((error: unknown) => onTrouble(digest, asTrouble(error)))
        .finally(() => writing.delete(written))
      writing.add(written)
    },
    remove(digest) {
      return turns.take(digest, async () => {
        const wasHeld = memory.delete(digest)
        return (await store.remove(digest)) || wasHeld
      })
    },
    settled,
    async close() {
      await settled()
      memory.clear()
    },
  }
}

function asTrouble(error: unknown): CacheTrouble {
  return error instanceof CacheTrouble ? error : new CacheTrouble('EIO', { cause: error })
}
