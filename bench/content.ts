import { createCipheriv, createHash } from 'node:crypto'

export const KiB = 1024
export const MiB = 1024 * KiB
export const GiB = 1024 * MiB

/** A blob whose bytes are made up where they are needed, so that nobody has to read or hold them. */
export interface Blob {
  readonly digest: string
  readonly size: number
  /** Where its window on the random bytes begins. */
  readonly offset: number
}

/** A manifest or an image configuration: bytes that have to be kept. */
export interface Document {
  readonly digest: string
  readonly mediaType: string
  readonly text: string
}

export interface Image {
  readonly manifest: Document
  readonly config: Document
  readonly layers: readonly Blob[]
}

const OCI = 'application/vnd.oci.image'
export const MANIFEST_TYPE = `${OCI}.manifest.v1+json`

/** Odd, so that no two parts of a blob at round positions are alike, and one that is misplaced changes the digest. */
const PERIOD = 16 * MiB + 4099
/** The most that is given at a time. */
export const MAX_PIECE = MiB

/** The random bytes, and their beginning once more, so that no piece has to be put together at the seam. */
const random = ((): Buffer => {
  const bytes = Buffer.alloc(PERIOD + MAX_PIECE)
  createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16)).update(bytes).copy(bytes)
  bytes.copy(bytes, PERIOD, 0, MAX_PIECE)
  return bytes
})()

/** Bytes of a blob from `position` on, as many as there are and at most `length` and MAX_PIECE. Not to be written to. */
export function bytesOf(blob: Pick<Blob, 'offset' | 'size'>, position: number, length: number): Buffer {
  const start = (blob.offset + position) % PERIOD
  return random.subarray(start, start + Math.min(length, MAX_PIECE, blob.size - position))
}

/** All bytes of a blob, in pieces. */
export function* piecesOf(blob: Pick<Blob, 'offset' | 'size'>): Generator<Buffer> {
  for (let position = 0; position < blob.size; position += MAX_PIECE) yield bytesOf(blob, position, MAX_PIECE)
}

let made = 0

/** A blob that there was none like before in this process. */
export function newBlob(size: number): Blob {
  const offset = (++made * 7919) % PERIOD
  const hash = createHash('sha256')
  for (const piece of piecesOf({ offset, size })) hash.update(piece)
  return { digest: `sha256:${hash.digest('hex')}`, size, offset }
}

export function newBlobs(count: number, size: number): Blob[] {
  return Array.from({ length: count }, () => newBlob(size))
}

/** An image of new layers of `size` bytes each. */
export function newImage(layerCount: number, size: number): Image {
  const layers = newBlobs(layerCount, size)
  const config = documentOf(`${OCI}.config.v1+json`, {
    os: 'linux',
    architecture: 'amd64',
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  })
  const manifest = documentOf(MANIFEST_TYPE, {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: descriptorOf(config.mediaType, config.digest, config.text.length),
    layers: layers.map(layer => descriptorOf(`${OCI}.layer.v1.tar`, layer.digest, layer.size)),
  })
  return { manifest, config, layers }
}

function descriptorOf(mediaType: string, digest: string, size: number): object {
  return { mediaType, digest, size }
}

/** Of ASCII text only. */
function documentOf(mediaType: string, content: object): Document {
  const text = JSON.stringify(content)
  return { mediaType, text, digest: `sha256:${createHash('sha256').update(text).digest('hex')}` }
}
