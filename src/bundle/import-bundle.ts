import { digestCheck, type Digest } from '../oci/digest.js'
import type { ImageName } from '../oci/image-name.js'
import { MAX_MANIFEST_BYTES } from '../oci/media-type.js'
import { referenceText } from '../oci/reference.js'
import type { BlobStore, CacheTrouble } from '../store/blob-store.js'
import type { ManifestReadings } from '../store/manifest-readings.js'
import type { ManifestStore } from '../store/manifest-store.js'
import { WalkBudget } from '../store/manifest-walk.js'
import type { Membership } from '../store/membership.js'
import type { Scope } from '../store/scope.js'
import type { TagCache } from '../store/tag-cache.js'
import { Yielder } from '../yielder.js'
import { BundleRefused } from './bundle-refused.js'
import { partsOf, type ImageParts } from './image-parts.js'
import { digestAt, INDEX, isMarker, MARKER, parseIndex, type NamedManifest } from './layout.js'
import { restoredName, type Renaming } from './restored-name.js'
import { readTar, type TarEntry } from './tar-reader.js'

export interface ImportParts {
  readonly store: BlobStore
  readonly manifests: Pick<ManifestStore, 'read'>
  readonly readings: ManifestReadings
  readonly membership: Pick<Membership, 'mark' | 'record' | 'recordManifest' | 'settled'>
  readonly tags: Pick<TagCache, 'mark' | 'recordPush' | 'settled'>
  /** The repository that a name means here; what is wrong with it where it means none. */
  readonly scopeOf: (image: ImageName) => Scope | string
}

export interface ImportedImage {
  readonly name: string
  readonly digest: Digest
  /** Of all that belongs to it, in bytes. */
  readonly bytes: number
  /** What belongs to it and the bundle has not: platforms of an index, and digests of what no platform needs. */
  readonly leftOut: readonly string[]
}

export interface ImportResult {
  readonly images: readonly ImportedImage[]
  /** Those that cannot be pulled from what is in the bundle, and why; nothing of them can be asked for. */
  readonly refused: readonly { readonly name: string; readonly reason: string }[]
  /** Files that were stored, and those that had been before; in bytes. */
  readonly stored: { readonly files: number; readonly bytes: number }
  readonly present: { readonly files: number; readonly bytes: number }
}

/**
 * Takes the images of an OCI layout in a tar archive into a cache. Bytes are stored as they come, each file once it has
 * the digest that it is called by; only when the archive was read to its end, and all of it was right, do its images
 * become known, as if the upstream had just been asked. Throws BundleRefused, CacheTrouble, what reading the source
 * throws, and the signal's reason.
 */
export async function importBundle(
  source: AsyncIterable<Uint8Array>,
  renaming: Renaming,
  parts: ImportParts,
  signal?: AbortSignal,
): Promise<ImportResult> {
  const bundle = new Bundle(renaming, parts, signal)
  for await (const entry of readTar(source)) await bundle.take(entry)
  return bundle.finish()
}

/** The most files that a bundle may have, and that its images may name, one by one. */
const MAX_FILES = 1_000_000

/** The most bytes of manifests that are read to find out what belongs to its images. */
const MAX_MANIFESTS_READ = 1024 * 1024 * 1024

interface Wanted extends NamedManifest {
  readonly text: string
  readonly image: ImageName
  readonly scope: Scope
}

class Bundle {
  readonly #renaming: Renaming
  readonly #parts: ImportParts
  readonly #signal: AbortSignal | undefined
  readonly #budget = new WalkBudget({ parts: MAX_FILES, bytes: MAX_MANIFESTS_READ })
  /** What belongs to a manifest, by its digest and type: an image may have thousands of names. */
  readonly #looked = new Map<string, ImageParts>()
  readonly #yielder = new Yielder()
  /** What was in it, whole and right, with its size in bytes: nothing else counts as brought along. */
  readonly #blobs = new Map<Digest, number>()
  readonly #stored = { files: 0, bytes: 0 }
  readonly #present = { files: 0, bytes: 0 }
  #images: readonly Wanted[] | undefined
  #isMarked = false

  constructor(renaming: Renaming, parts: ImportParts, signal: AbortSignal | undefined) {
    this.#renaming = renaming
    this.#parts = parts
    this.#signal = signal
  }

  async take({ path, kind, size, body }: TarEntry): Promise<void> {
    const name = path.replace(/^(?:\.\/)+/, '')
    const digest = digestAt(name)
    if (!digest && name !== INDEX && name !== MARKER) return
    if (kind !== 'file') throw new BundleRefused(`${name} is no plain file in the tar archive`)
    if (digest) {
      await this.#takeBlob(digest, size, body)
    } else if (name === MARKER) {
      if (!isMarker(await small(name, size, body)))
        throw new BundleRefused(`${MARKER} names no version of the format that is known here (1.0.0)`)
      this.#isMarked = true
    } else {
      if (this.#images) throw new BundleRefused(`${INDEX} is in it twice`)
      this.#images = this.#wanted(await small(name, size, body))
    }
  }

  async finish(): Promise<ImportResult> {
    if (!this.#images || !this.#isMarked)
      throw new BundleRefused(
        `there is no ${this.#images ? MARKER : INDEX} in it, so it is no OCI layout; what docker save wrote becomes one by: skopeo copy docker-archive:FILE oci-archive:FILE`,
      )
    const found: [Wanted, ImageParts][] = []
    const refused: { name: string; reason: string }[] = []
    for (const image of this.#images) {
      await this.#yielder.step(this.#signal)
      const parts = await this.#look(image)
      const reason = await this.#reasonAgainst(image, parts)
      if (reason === undefined) found.push([image, parts])
      else refused.push({ name: image.text, reason })
    }
    for (const [image, parts] of found) await this.#makeKnown(image, parts)
    await Promise.all([this.#parts.membership.settled(), this.#parts.tags.settled()])
    const images: ImportedImage[] = []
    for (const [{ text, digest }, { manifests, blobs, leftOut, elsewhere }] of found) {
      await this.#yielder.step()
      const sizes = [...manifests.map(({ size }) => size), ...blobs.values()]
      const bytes = sizes.reduce((sum, size) => sum + size, 0)
      images.push({ name: text, digest, bytes, leftOut: [...leftOut, ...elsewhere] })
    }
    return { images, refused, stored: this.#stored, present: this.#present }
  }

  async #takeBlob(digest: Digest, size: number, body: AsyncIterable<Uint8Array>): Promise<void> {
    if (this.#blobs.size >= MAX_FILES) throw new BundleRefused(`it has more than ${MAX_FILES} files`)
    const isThere = this.#blobs.has(digest) || (await this.#isStored(digest, size))
    // What is there already is hashed all the same: who names a digest need not have the bytes.
    if (isThere) await hashed(digest, body)
    else await this.#store(digest, size, body)
    if (this.#blobs.has(digest)) return
    this.#blobs.set(digest, size)
    const count = isThere ? this.#present : this.#stored
    count.files++
    count.bytes += size
  }

  async #store(digest: Digest, size: number, body: AsyncIterable<Uint8Array>): Promise<void> {
    const ingest = await this.#parts.store.ingest(size)
    try {
      let position = 0
      await hashed(digest, inBatches(body, size), async piece => {
        await ingest.write(piece, position)
        position += piece.length
      })
      const stored = await ingest.commit(digest)
      stored.release()
    } finally {
      await ingest.discard()
    }
  }

  async #isStored(digest: Digest, size: number): Promise<boolean> {
    const stored = await this.#parts.store.open(digest)
    stored?.release()
    return stored?.size === size
  }

  #wanted(bytes: Buffer): readonly Wanted[] {
    const manifests = parseIndex(bytes)
    if (!manifests) throw new BundleRefused(`${INDEX} is no image index`)
    if (manifests.length === 0) throw new BundleRefused('there is no image in it')
    const wanted = manifests.map(manifest => {
      const { text, image } = restoredName(manifest, this.#renaming, manifests.length === 1)
      const scope = this.#parts.scopeOf(image)
      if (typeof scope === 'string') throw new BundleRefused(`the bundle has ${text}: ${scope}`)
      if ('digest' in image.reference && image.reference.digest !== manifest.digest)
        throw new BundleRefused(`what the bundle calls ${text} has the digest ${manifest.digest}`)
      return { ...manifest, text, image, scope }
    })
    const digests = new Map<string, Digest>()
    for (const { text, digest } of wanted) {
      if ((digests.get(text) ?? digest) !== digest)
        throw new BundleRefused(`two images in it are called ${text}`)
      digests.set(text, digest)
    }
    return wanted
  }

  async #look(image: Wanted): Promise<ImageParts> {
    const key = JSON.stringify([image.digest, image.mediaType])
    const known = this.#looked.get(key)
    if (known) return known
    const parts = await partsOf(image, {
      read: async digest =>
        (this.#blobs.get(digest) ?? Infinity) > MAX_MANIFEST_BYTES
          ? undefined
          : this.#parts.manifests.read(digest),
      sizeOf: async digest => this.#blobs.get(digest),
      takes: child => this.#blobs.has(child.digest),
      readings: this.#parts.readings,
      budget: this.#budget,
      signal: this.#signal,
    })
    this.#looked.set(key, parts)
    return parts
  }

  async #reasonAgainst(
    image: Wanted,
    { manifests, blobs, missing, unknown }: ImageParts,
  ): Promise<string | undefined> {
    const large = missing.find(({ digest }) => (this.#blobs.get(digest) ?? 0) > MAX_MANIFEST_BYTES)
    if (large && !blobs.has(large.digest) && large.digest === image.digest)
      return `its manifest ${large.digest} is larger than 4 MiB`
    const [first] = missing
    if (first) {
      const others = missing.length > 1 ? ` and ${missing.length - 1} more` : ''
      return `the bundle lacks ${first.digest}${others}, which belongs to it`
    }
    if (unknown !== undefined) return `it cannot be told what belongs to it: ${unknown}`
    for (const [digest, size] of [...manifests.map(each => [each.digest, each.size] as const), ...blobs]) {
      await this.#yielder.step(this.#signal)
      if (!(await this.#isStored(digest, size)))
        return `${digest} had to make room for what came after it: cache.maxSize is too small for the bundle`
    }
    return undefined
  }

  async #makeKnown({ scope, image, digest }: Wanted, { manifests, blobs }: ImageParts): Promise<void> {
    const { membership, tags } = this.#parts
    const mark = membership.mark(scope)
    for (const blob of blobs.keys()) {
      membership.record(mark, [blob])
      await this.#yielder.step()
    }
    for (const manifest of manifests) {
      membership.recordManifest(mark, manifest)
      await this.#yielder.step()
    }
    const top = manifests.find(each => each.digest === digest)
    if (top && 'tag' in image.reference)
      tags.recordPush(tags.mark({ scope, tag: referenceText(image.reference) }), top)
  }
}

/** Reads to the end, giving each piece to `keep`. Throws BundleRefused when the bytes do not have the digest. */
async function hashed(
  digest: Digest,
  body: AsyncIterable<Uint8Array>,
  keep: (piece: Uint8Array) => Promise<void> = async () => undefined,
): Promise<void> {
  const check = digestCheck(digest)
  for await (const piece of body) {
    check.update(piece)
    await keep(piece)
  }
  if (!check.matches()) throw new BundleRefused(`the bytes of ${digest} do not have that digest`)
}

/** Bytes that are written at a time: each write costs a turn of its own. */
const BATCH = 1024 * 1024

/** The same bytes in larger pieces, each good until the next one is asked for. */
async function* inBatches(body: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  const batch = Buffer.allocUnsafeSlow(Math.min(size, BATCH))
  let length = 0
  for await (const piece of body) {
    for (let rest = piece; rest.length > 0;) {
      const part = rest.subarray(0, batch.length - length)
      batch.set(part, length)
      length += part.length
      rest = rest.subarray(part.length)
      if (length < batch.length) continue
      yield batch
      length = 0
    }
  }
  if (length > 0) yield batch.subarray(0, length)
}

async function small(name: string, size: number, body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  if (size > MAX_MANIFEST_BYTES) throw new BundleRefused(`${name} is larger than 4 MiB`)
  const pieces: Uint8Array[] = []
  for await (const piece of body) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** What to say where the cache cannot take a bundle. */
export function troubleText({ code }: CacheTrouble): string {
  if (code === 'ENOSPC')
    return 'there is no room for it: the disk is full, or cache.minFree wants the rest of it'
  if (code === 'EFBIG')
    return 'a file of it is larger than cache.maxSize, or than what cache.minFree leaves of the disk'
  return `the cache cannot be written to (${code})`
}
