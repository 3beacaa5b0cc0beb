import { createHash } from 'node:crypto'
import { digestOf, type Digest, type DigestAlgorithm } from '../../../src/oci/digest.js'
import type { BlobStore, ReadableBytes, StoredBlob } from '../../../src/store/blob-store.js'

export interface TestBlob {
  readonly bytes: Buffer
  readonly digest: Digest
}

/** Bytes that only `seed` and `size` decide, and that do not compress. */
export function blobOf(seed: number | string, size: number, algorithm?: DigestAlgorithm): TestBlob {
  const bytes = Buffer.alloc(size)
  let block = createHash('sha256').update(String(seed)).digest()
  for (let done = 0; done < size; done += block.length) {
    block.copy(bytes, done)
    block = createHash('sha256').update(block).digest()
  }
  return { bytes, digest: digestOf(bytes, algorithm) }
}

/** Stores a blob the way a fill does, and gives the hold that its commit gives. */
export async function put(store: BlobStore, { bytes, digest }: TestBlob): Promise<StoredBlob> {
  const ingest = await store.ingest(bytes.length)
  try {
    await ingest.write(bytes, 0)
    return await ingest.commit(digest)
  } finally {
    await ingest.discard()
  }
}

/** Stores blobs, and holds none of them. */
export async function putAll(store: BlobStore, ...blobs: readonly TestBlob[]): Promise<void> {
  for (const blob of blobs) (await put(store, blob)).release()
}

/** All bytes of `source`, by reads of `step` bytes. */
export async function readAll(source: ReadableBytes, step = 65_536): Promise<Buffer> {
  const pieces: Buffer[] = []
  for (let position = 0; ;) {
    const buffer = Buffer.alloc(step)
    const count = await source.read(buffer, position)
    if (count === 0) return Buffer.concat(pieces)
    pieces.push(buffer.subarray(0, count))
    position += count
  }
}

/** What the store gives for a digest; undefined when it is not there. */
export async function fetchFrom(store: BlobStore, digest: Digest): Promise<Buffer | undefined> {
  const blob = await store.open(digest)
  try {
    return blob && (await readAll(blob))
  } finally {
    blob?.release()
  }
}

export async function listed(store: BlobStore): Promise<Digest[]> {
  const digests: Digest[] = []
  for await (const { digest } of store.list()) digests.push(digest)
  return digests
}
