import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

export interface LayoutOptions {
  readonly tag: string
  /** Bytes of each layer's one file. Contents are random: nothing can compress them. */
  readonly layers: readonly number[]
  /** One image for each; an index names them all when there are several. */
  readonly architectures?: readonly string[]
}

const OCI = 'application/vnd.oci.image'

/**
 * Writes an image as an OCI layout (image-spec, "OCI Image Layout Specification") with plain tar layers, and returns
 * the digest that its tag stands for.
 */
export async function writeLayout(directory: string, options: LayoutOptions): Promise<string> {
  const { tag, layers, architectures = ['amd64'] } = options
  const blobs = join(directory, 'blobs', 'sha256')
  await mkdir(blobs, { recursive: true })

  const store = async (mediaType: string, content: object): Promise<Descriptor> => {
    const bytes = Buffer.from(JSON.stringify(content))
    return { mediaType, ...(await storeBlob(blobs, Readable.from([bytes]))) }
  }
  const images: (Descriptor & { platform: object })[] = []
  for (const architecture of architectures) {
    const stored: Descriptor[] = []
    for (const [index, size] of layers.entries()) {
      const blob = await storeBlob(blobs, Readable.from(tarOf(`${architecture}-${index}`, size)))
      stored.push({ mediaType: `${OCI}.layer.v1.tar`, ...blob })
    }
    const platform = { os: 'linux', architecture }
    const config = await store(`${OCI}.config.v1+json`, {
      ...platform,
      rootfs: { type: 'layers', diff_ids: stored.map(({ digest }) => digest) },
    })
    const mediaType = `${OCI}.manifest.v1+json`
    const manifest = await store(mediaType, { schemaVersion: 2, mediaType, config, layers: stored })
    images.push({ ...manifest, platform })
  }

  const [only] = images
  const mediaType = `${OCI}.index.v1+json`
  const top =
    only && images.length === 1
      ? only
      : await store(mediaType, { schemaVersion: 2, mediaType, manifests: images })
  const named = { ...top, annotations: { 'org.opencontainers.image.ref.name': tag } }
  await writeFile(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  await writeFile(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [named] }))
  return top.digest
}

async function storeBlob(blobs: string, content: Readable): Promise<Omit<Descriptor, 'mediaType'>> {
  const hash = createHash('sha256')
  const unnamed = join(blobs, 'unnamed')
  let size = 0
  await pipeline(
    content,
    async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        hash.update(chunk)
        size += chunk.length
        yield chunk
      }
    },
    createWriteStream(unnamed),
  )
  const hex = hash.digest('hex')
  await rename(unnamed, join(blobs, hex))
  return { digest: `sha256:${hex}`, size }
}

const PIECE = 1024 * 1024
const BLOCK = 512

/** A tar archive with one file of random bytes. */
function* tarOf(name: string, size: number): Generator<Buffer> {
  yield headerOf(name, size)
  const random = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16))
  for (let left = size; left > 0; left -= PIECE) yield random.update(Buffer.alloc(Math.min(PIECE, left)))
  yield Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)
  yield Buffer.alloc(2 * BLOCK)
}

/** POSIX.1-1988 ustar; a checksum is over the header with spaces in the checksum's own place. */
function headerOf(name: string, size: number): Buffer {
  const header = Buffer.alloc(BLOCK)
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`
  header.write(name, 0)
  header.write(octal(0o644, 7), 100)
  header.write(octal(0, 7), 108)
  header.write(octal(0, 7), 116)
  header.write(octal(size, 11), 124)
  header.write(octal(0, 11), 136)
  header.write('        ', 148)
  header.write('0', 156)
  header.write('ustar\x0000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${octal(sum, 6)} `, 148)
  return header
}
