import { whyUnknown } from '../oci/ambiguity.js'
import { parseBounded } from '../oci/bounded-json.js'
import type { Digest } from '../oci/digest.js'
import { blobsOf, isImageToRun, platformIn, platformText, type Descriptor } from '../oci/manifest.js'
import { Yielder } from '../yielder.js'
import type { ManifestReadings } from './manifest-readings.js'
import { walkManifests, type ReadManifest, type WalkStep } from './manifest-walk.js'
import type { Membership } from './membership.js'
import { scopeKey, type Scope } from './scope.js'
import type { TagCache } from './tag-cache.js'

/** What is looked at to tell which images are cached. */
export interface ImageSources {
  readonly tags: Pick<TagCache, 'list'>
  readonly membership: Pick<Membership, 'proof' | 'manifest' | 'manifests'>
  readonly readings: ManifestReadings
  /** A stored manifest's bytes. */
  readonly read: (digest: Digest) => Promise<Buffer | undefined>
  /** A stored blob's size in bytes. */
  readonly sizeOf: (digest: Digest) => Promise<number | undefined>
}

/** An image, or an index of images, of which something is known. */
export interface CachedImage {
  readonly scope: Scope
  /** Undefined for one that was only asked for by its digest. */
  readonly tag: string | undefined
  readonly digest: Digest
  /** What can be pulled: an image for each platform, or the one there is. Empty when the manifest is not there. */
  readonly variants: readonly ImageVariant[]
}

export interface ImageVariant {
  /** Such as `linux/arm64`; undefined when nothing tells it. */
  readonly platform: string | undefined
  readonly digest: Digest
  /** In bytes, with all that belongs to it, as far as its manifest is there to tell. */
  readonly size: number
  /** What keeps it from being pulled while the upstream is away, or may do so; it is complete when there is nothing. */
  readonly missing: readonly Missing[]
  /** All that belongs to it, and is there or would have to be: its manifest first, and indexes that it is in by another. */
  readonly contents: readonly Digest[]
}

export interface Missing {
  readonly digest: Digest
  /** In bytes, where that is known. */
  readonly size: number | undefined
  /**
   * Its bytes are not there; or the upstream has not said for too long that the repository has it; or it cannot be told
   * what is needed: of a manifest that is not understood, and of a layer that is not there and may be elsewhere.
   */
  readonly what: 'bytes' | 'proof' | 'unknown'
}

/**
 * Every image of which something is cached, those with tags first, with what is missing of it. Lets others be answered
 * meanwhile. Throws the signal's reason.
 */
export async function* listImages(sources: ImageSources, signal?: AbortSignal): AsyncGenerator<CachedImage> {
  const yielder = new Yielder()
  /** Manifests that belong to what was listed. */
  const listed = new Set<string>()
  const key = (scope: Scope, digest: Digest): string => JSON.stringify([scopeKey(scope), digest])
  const look = async (scope: Scope, tag: string | undefined, digest: Digest): Promise<CachedImage> => {
    const variants = await variantsOf(
      sources,
      { scope, digest, onManifest: manifest => listed.add(key(scope, manifest)) },
      signal,
    )
    return { scope, tag, digest, variants }
  }
  for (const { scope, tag, digest } of sources.tags.list()) {
    await yielder.step(signal)
    yield await look(scope, tag, digest)
  }
  // Indexes before the images that they name.
  const others = []
  for (const { scope, digest, mediaType } of sources.membership.manifests()) {
    await yielder.step(signal)
    if (!listed.has(key(scope, digest)))
      others.push({ scope, digest, isIndex: /index|manifest\.list/.test(mediaType) })
  }
  for (const indexes of [true, false]) {
    for (const { scope, digest, isIndex } of others) {
      await yielder.step(signal)
      if (isIndex === indexes && !listed.has(key(scope, digest))) yield await look(scope, undefined, digest)
    }
  }
}

interface Stored extends ReadManifest {
  /** What the upstream calls it, or else the index above. */
  readonly mediaType: string | undefined
}

type Step = WalkStep<Stored>

/** What is looked at. */
interface Look {
  readonly scope: Scope
  readonly digest: Digest
  /** Is told of each manifest that belongs to it. */
  readonly onManifest: (digest: Digest) => void
}

/** What of an image there is. */
async function variantsOf(
  sources: ImageSources,
  { scope, digest: top, onManifest }: Look,
  signal: AbortSignal | undefined,
): Promise<ImageVariant[]> {
  const { membership, readings } = sources
  const variants: ImageVariant[] = []
  /** What indexes say that their entries run on: one image may be for several platforms. */
  const platforms = new Map<Digest, Set<string>>()
  /** Indexes that are above no variant so far. */
  const alone = new Map<Digest, Step>()
  const steps = walkManifests<Stored>(top, {
    follows: isImageToRun,
    signal,
    async read(digest, descriptor) {
      const bytes = await sources.read(digest)
      if (!bytes) return undefined
      const mediaType = membership.manifest(scope, digest)?.mediaType ?? descriptor?.mediaType
      return { reading: await readings.read(digest, bytes), size: bytes.length, mediaType }
    },
  })
  for await (const step of steps) {
    onManifest(step.digest)
    if (!step.manifest && !step.above && step.limit === undefined) return []
    const children = childrenOf(step)
    for (const { digest, platform } of children) {
      if (!platform) continue
      const known = platforms.get(digest)
      if (known) known.add(platformText(platform))
      else platforms.set(digest, new Set([platformText(platform)]))
    }
    if (children.length > 0) {
      alone.set(step.digest, step)
      continue
    }
    for (const index of indexesAbove(step)) alone.delete(index)
    const { platform, ...variant } = await variantOf(sources, scope, step, signal)
    for (const each of platforms.get(step.digest) ?? [platform]) variants.push({ platform: each, ...variant })
  }
  // All that these name is in other indexes too.
  for (const step of alone.values()) variants.push(await variantOf(sources, scope, step, signal))
  return variants
}

/** What an index names that is understood; of anything else there is none. */
function childrenOf({ manifest }: Step): readonly Descriptor[] {
  if (!manifest || whyUnknown(manifest.reading, manifest.mediaType) !== undefined) return []
  return manifest.reading.content?.manifests ?? []
}

async function variantOf(
  sources: ImageSources,
  scope: Scope,
  step: Step,
  signal: AbortSignal | undefined,
): Promise<ImageVariant> {
  const { digest, descriptor, manifest, limit } = step
  const above = indexesAbove(step)
  const contents = [digest, ...above]
  const missing = above.flatMap(each => missingManifest(sources, scope, each))
  if (!manifest) {
    missing.push({ digest, size: descriptor?.size, what: limit === undefined ? 'bytes' : 'unknown' })
    return { platform: undefined, digest, size: descriptor?.size ?? 0, missing, contents }
  }
  const { reading, mediaType } = manifest
  const { content } = reading
  missing.push(...missingManifest(sources, scope, digest))
  if (whyUnknown(reading, mediaType) !== undefined) missing.push({ digest, size: undefined, what: 'unknown' })
  const yielder = new Yielder()
  let { size } = manifest
  for (const blob of blobsOf(content)) {
    await yielder.step(signal)
    const stored = await sources.sizeOf(blob.digest)
    const isThere = stored !== undefined && (blob.size === undefined || stored === blob.size)
    // What may be elsewhere takes room only where it is.
    if (isThere || !blob.elsewhere) size += blob.size ?? 0
    contents.push(blob.digest)
    if (!isThere)
      missing.push({ digest: blob.digest, size: blob.size, what: blob.elsewhere ? 'unknown' : 'bytes' })
    else if (sources.membership.proof(scope, blob.digest) === 'none')
      missing.push({ digest: blob.digest, size: blob.size, what: 'proof' })
  }
  return { platform: await platformOf(sources, content?.config), digest, size, missing, contents }
}

function indexesAbove({ above }: Step): Digest[] {
  return above ? [above.digest, ...indexesAbove(above)] : []
}

function missingManifest({ membership }: ImageSources, scope: Scope, digest: Digest): Missing[] {
  const known = membership.manifest(scope, digest)
  return known && known.proof !== 'none' ? [] : [{ digest, size: known?.size, what: 'proof' }]
}

/** A configuration larger than this is none, in bytes. */
const MAX_CONFIG = 4 * 1024 * 1024

/** What an image's own configuration says that it runs on (image-spec, "OCI Image Configuration"). */
async function platformOf(
  sources: ImageSources,
  config: Descriptor | undefined,
): Promise<string | undefined> {
  if (!config || (config.size ?? 0) > MAX_CONFIG) return undefined
  const bytes = await sources.read(config.digest)
  if (!bytes) return undefined
  const platform = platformIn(parseBounded(bytes))
  return platform && platformText(platform)
}
