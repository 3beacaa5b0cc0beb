import { ambiguityIn, whyUnknown } from '../oci/ambiguity.js'
import type { Digest } from '../oci/digest.js'
import { blobsOf, isImageToRun, platformText, type Descriptor } from '../oci/manifest.js'
import type { ManifestReadings } from '../store/manifest-readings.js'
import { walkManifests, type ReadManifest, type WalkBudget, type WalkStep } from '../store/manifest-walk.js'
import type { ManifestFacts } from '../store/membership.js'
import { Yielder } from '../yielder.js'
import { BundleRefused } from './bundle-refused.js'

/** What is looked at to tell what belongs to an image. */
export interface PartsSources {
  /** A manifest's bytes; undefined when it is not there. */
  readonly read: (digest: Digest) => Promise<Buffer | undefined>
  readonly readings: ManifestReadings
  /** A blob's size in bytes; undefined when it is not there. */
  readonly sizeOf: (digest: Digest) => Promise<number | undefined>
  /** Of an index, whether to take what it has for a platform. */
  readonly takes: (child: Descriptor) => boolean
  /** What may be looked at; several images may share it. */
  readonly budget?: WalkBudget
  readonly signal?: AbortSignal | undefined
}

/** Whatever belongs to an image, or to an index of images. */
export interface ImageParts {
  /** Itself first. */
  readonly manifests: ManifestFacts[]
  readonly blobs: Map<Digest, number>
  readonly missing: MissingPart[]
  /** Layers that may be fetched from elsewhere, by agreement, and are not there. */
  readonly elsewhere: Digest[]
  /** Why it cannot be told what belongs to it: a manifest with what is not understood about it. */
  unknown: string | undefined
  /** What an index has that was not taken, by platform where it has one. */
  readonly leftOut: string[]
}

export interface MissingPart {
  readonly digest: Digest
  /** In bytes, where that is known. */
  readonly size: number | undefined
}

interface Stored extends ReadManifest {
  readonly mediaType: string
}

/**
 * Finds what belongs to an image. Of an index there has to be all that is taken; what is no image to run is taken where it
 * is whole. Throws BundleRefused for a manifest that two readers may understand differently, and for what is nested too
 * deep or names too much; and the signal's reason.
 */
export async function partsOf(
  image: Pick<ManifestFacts, 'digest' | 'mediaType'>,
  sources: PartsSources,
): Promise<ImageParts> {
  const untaken = new Map<Digest, Descriptor>()
  /** What is no image to run, such as attestations. */
  const others = new Map<Digest, Descriptor>()
  const { found, parts } = await collect(image, sources, (child, siblings) => {
    const isToRun = isImageToRun(child, siblings)
    const isTaken = isToRun && sources.takes(child)
    if (!isTaken) (isToRun ? untaken : others).set(child.digest, child)
    return isTaken
  })
  if (untaken.size > 0 && found.images === 0)
    parts.missing.push(...[...untaken.values()].map(({ digest, size }) => ({ digest, size })))
  for (const child of untaken.values())
    parts.leftOut.push(child.platform ? platformText(child.platform) : child.digest)
  for (const { digest, mediaType } of others.values()) {
    const other = await collect({ digest, mediaType }, sources, () => true)
    const { manifests, blobs, missing, elsewhere, unknown } = other.parts
    if (missing.length > 0 || elsewhere.length > 0 || unknown !== undefined) {
      parts.leftOut.push(digest)
      continue
    }
    parts.manifests.push(...manifests)
    for (const [blob, size] of blobs) parts.blobs.set(blob, size)
  }
  return parts
}

interface Collected {
  readonly parts: ImageParts
  /** How many images are in it. */
  readonly found: { readonly images: number }
}

async function collect(
  { digest: top, mediaType }: { readonly digest: Digest; readonly mediaType: string | undefined },
  sources: PartsSources,
  follows: (child: Descriptor, siblings: readonly Descriptor[]) => boolean,
): Promise<Collected> {
  const { read, readings, budget, signal } = sources
  const parts: ImageParts = {
    manifests: [],
    blobs: new Map(),
    missing: [],
    elsewhere: [],
    unknown: undefined,
    leftOut: [],
  }
  let images = 0
  const steps = walkManifests<Stored>(top, {
    follows,
    ...(budget && { budget }),
    signal,
    async read(digest, descriptor) {
      const bytes = await read(digest)
      if (!bytes) return undefined
      const reading = await readings.read(digest, bytes)
      const type = digest === top ? mediaType : descriptor?.mediaType
      return { reading, size: bytes.length, mediaType: type ?? reading.mediaType ?? '' }
    },
  })
  for await (const step of steps) {
    refuseExcess(step, top)
    const { digest, descriptor, manifest } = step
    if (!manifest) {
      parts.missing.push({ digest, size: descriptor?.size })
      continue
    }
    const ambiguity = ambiguityIn(manifest.reading, manifest.mediaType)
    if (ambiguity !== undefined) throw new BundleRefused(`the manifest ${digest} ${ambiguity}`)
    const why = whyUnknown(manifest.reading, manifest.mediaType)
    if (why !== undefined) parts.unknown ??= `the manifest ${digest} ${why}`
    parts.manifests.push({ digest, mediaType: manifest.mediaType, size: manifest.size })
    if (manifest.reading.kind !== 'index') images++
    await addBlobs(parts, manifest, sources)
  }
  return { parts, found: { images } }
}

async function addBlobs(
  { blobs, missing, elsewhere }: ImageParts,
  { reading }: Stored,
  { sizeOf, signal }: PartsSources,
): Promise<void> {
  const yielder = new Yielder()
  for (const blob of blobsOf(reading.content)) {
    await yielder.step(signal)
    const size = await sizeOf(blob.digest)
    if (size !== undefined && (blob.size === undefined || size === blob.size)) blobs.set(blob.digest, size)
    else if (blob.elsewhere) elsewhere.push(blob.digest)
    else missing.push({ digest: blob.digest, size: blob.size })
  }
}

function refuseExcess({ digest, limit }: WalkStep<Stored>, top: Digest): void {
  if (limit === 'nesting') throw new BundleRefused(`${digest} is an index in too many indexes`)
  if (limit === 'budget') throw new BundleRefused(`${top} names more manifests and blobs than are looked at`)
}
