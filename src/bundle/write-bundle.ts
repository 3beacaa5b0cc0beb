import { digestCheck, type Digest } from '../oci/digest.js'
import { BundleRefused } from './bundle-refused.js'
import { INDEX, indexBytes, MARKER, MARKER_BYTES, pathOf, type Named } from './layout.js'
import { directoryHeader, endOfArchive, fileHeader, filePadding } from './tar-writer.js'

/** What a bundle is made of. */
export interface BundleContents {
  readonly images: readonly Named[]
  /** Every manifest and blob once, with its size in bytes. */
  readonly blobs: ReadonlyMap<Digest, number>
}

/** A blob's bytes, from the first to the last; undefined when it is no longer there. */
export type OpenBlob = (digest: Digest) => AsyncIterable<Uint8Array>

/**
 * An OCI layout of these images as a tar archive, the same to the byte for the same images. Everything is hashed on its
 * way. Throws BundleRefused when bytes are not what they should be, and what reading them throws.
 */
export async function* writeBundle(
  { images, blobs }: BundleContents,
  open: OpenBlob,
): AsyncGenerator<Uint8Array> {
  const sorted = [...blobs].sort(([a], [b]) => (a < b ? -1 : 1))
  const algorithms = new Set(sorted.map(([digest]) => pathOf(digest).slice(0, 'blobs/sha256/'.length)))
  // These first, so that whoever reads it knows at once whether the names are of use.
  yield* smallFile(MARKER, MARKER_BYTES)
  yield* smallFile(INDEX, indexBytes(images))
  for (const directory of ['blobs/', ...algorithms]) yield directoryHeader(directory)
  for (const [digest, size] of sorted) {
    yield fileHeader(pathOf(digest), size)
    yield* checked(digest, size, open(digest))
    yield filePadding(size)
  }
  yield endOfArchive()
}

function* smallFile(path: string, bytes: Buffer): Generator<Uint8Array> {
  yield fileHeader(path, bytes.length)
  yield bytes
  yield filePadding(bytes.length)
}

async function* checked(
  digest: Digest,
  size: number,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const check = digestCheck(digest)
  let left = size
  for await (const piece of bytes) {
    left -= piece.length
    if (left < 0) break
    check.update(piece)
    yield piece
  }
  if (left !== 0 || !check.matches())
    throw new BundleRefused(
      `${digest}: what is stored is not what the digest says; drop it (ecr-mirror purge) and fetch it again (ecr-mirror warm)`,
    )
}
