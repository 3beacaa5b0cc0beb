import type { Digest } from '../oci/digest.js'
import { blobsOf, parseManifest, platformIn, platformText, type Descriptor } from '../oci/manifest.js'
import type { Membership } from './membership.js'
import { scopeKey, type Scope } from './scope.js'
import type { TagCache } from './tag-cache.js'

/** What is looked at to tell which images are cached. */
export interface ImageSources {
  readonly tags: Pick<TagCache, 'list'>
  readonly membership: Pick<Membership, 'proof' | 'manifest' | 'manifests'>
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
  /** What keeps it from being pulled while the upstream is away; it is complete when there is nothing. */
  readonly missing: readonly Missing[]
  /** All that belongs to it, and is there or would have to be: its manifest first. */
  readonly contents: readonly Digest[]
}

export interface Missing {
  readonly digest: Digest
  /** In bytes, where that is known. */
  readonly size: number | undefined
  /** Its bytes are not there; or the upstream has not said for too long that the repository has it. */
  readonly what: 'bytes' | 'proof'
}

/** An index's entry that is no image to run, such as BuildKit's attestations. */
const NO_PLATFORM = 'unknown/unknown'

/** Every image of which something is cached, those with tags first, with what is missing of it. */
export async function* listImages(sources: ImageSources): AsyncGenerator<CachedImage> {
  const listed = new Set<string>()
  const key = (scope: Scope, digest: Digest): string => JSON.stringify([scopeKey(scope), digest])
  const look = async (scope: Scope, tag: string | undefined, digest: Digest): Promise<CachedImage> => {
    const variants = await variantsOf(sources, scope, digest)
    for (const each of [digest, ...variants.flatMap(variant => variant.contents)])
      listed.add(key(scope, each))
    return { scope, tag, digest, variants }
  }
  for (const { scope, tag, digest } of sources.tags.list()) yield await look(scope, tag, digest)
  // Indexes before the images that they name.
  const others = [...sources.membership.manifests()].filter(
    ({ scope, digest }) => !listed.has(key(scope, digest)),
  )
  for (const indexes of [true, false]) {
    for (const { scope, digest, mediaType } of others) {
      if (/index|manifest\.list/.test(mediaType) === indexes && !listed.has(key(scope, digest)))
        yield await look(scope, undefined, digest)
    }
  }
}

async function variantsOf(sources: ImageSources, scope: Scope, digest: Digest): Promise<ImageVariant[]> {
  const bytes = await sources.read(digest)
  const content = bytes && parseManifest(bytes)
  if (!content) return []
  if (content.manifests.length === 0) return [await variantOf(sources, scope, undefined, { digest })]
  const top = missingManifest(sources, scope, digest)
  const children = content.manifests.filter(
    ({ platform }) => !platform || platformText(platform) !== NO_PLATFORM,
  )
  return Promise.all(
    children.map(async child => {
      const variant = await variantOf(sources, scope, child.platform && platformText(child.platform), child)
      return { ...variant, missing: [...top, ...variant.missing] }
    }),
  )
}

async function variantOf(
  sources: ImageSources,
  scope: Scope,
  platform: string | undefined,
  { digest, size }: Pick<Descriptor, 'digest'> & Partial<Descriptor>,
): Promise<ImageVariant> {
  const bytes = await sources.read(digest)
  if (!bytes) {
    const missing: Missing[] = [{ digest, size, what: 'bytes' }]
    return { platform, digest, size: size ?? 0, missing, contents: [digest] }
  }
  const content = parseManifest(bytes)
  const blobs = blobsOf(content)
  const missing = missingManifest(sources, scope, digest)
  for (const blob of blobs) {
    const stored = await sources.sizeOf(blob.digest)
    const isThere = stored !== undefined && (blob.size === undefined || stored === blob.size)
    if (!isThere) missing.push({ digest: blob.digest, size: blob.size, what: 'bytes' })
    else if (sources.membership.proof(scope, blob.digest) === 'none')
      missing.push({ digest: blob.digest, size: blob.size, what: 'proof' })
  }
  return {
    platform: platform ?? (await platformOf(sources, content?.config)),
    digest,
    size: blobs.reduce((sum, blob) => sum + (blob.size ?? 0), bytes.length),
    missing,
    contents: [digest, ...blobs.map(blob => blob.digest)],
  }
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
  try {
    const platform = platformIn(JSON.parse(bytes.toString('utf8')))
    return platform && platformText(platform)
  } catch {
    return undefined
  }
}
