import { ambiguityIn } from '../oci/ambiguity.js'
import type { Digest } from '../oci/digest.js'
import { blobsOf, mediaTypeIn, parseManifest, platformText, type Descriptor } from '../oci/manifest.js'
import type { ManifestFacts } from '../store/membership.js'
import { BundleRefused } from './bundle-refused.js'

/** What is looked at to tell what belongs to an image. */
export interface PartsSources {
  /** A manifest's bytes; undefined when it is not there. */
  readonly read: (digest: Digest) => Promise<Buffer | undefined>
  /** A blob's size in bytes; undefined when it is not there. */
  readonly sizeOf: (digest: Digest) => Promise<number | undefined>
  /** Of an index, whether to take what it has for a platform. */
  readonly takes: (child: Descriptor) => Promise<boolean>
}

/** Whatever belongs to an image, or to an index of images. */
export interface ImageParts {
  /** Itself first. */
  readonly manifests: ManifestFacts[]
  readonly blobs: Map<Digest, number>
  readonly missing: MissingPart[]
  /** What an index has that was not taken, by platform where it has one. */
  readonly leftOut: string[]
}

export interface MissingPart {
  readonly digest: Digest
  /** In bytes, where that is known. */
  readonly size: number | undefined
}

/** An index's entry that is no image to run, such as BuildKit's attestations. */
const NO_PLATFORM = 'unknown/unknown'

/** Indexes in indexes. */
const MAX_DEPTH = 4

/**
 * Finds what belongs to an image. Of an index there has to be all that is taken; what is no image to run is taken where it
 * is whole. Throws BundleRefused for a manifest that two readers may understand differently.
 */
export async function partsOf(
  { digest, mediaType }: Pick<ManifestFacts, 'digest' | 'mediaType'>,
  sources: PartsSources,
  depth = 0,
): Promise<ImageParts> {
  const parts: ImageParts = { manifests: [], blobs: new Map(), missing: [], leftOut: [] }
  const bytes = await sources.read(digest)
  if (!bytes) {
    parts.missing.push({ digest, size: undefined })
    return parts
  }
  const ambiguity = ambiguityIn(bytes, mediaType)
  if (ambiguity !== undefined) throw new BundleRefused(`the manifest ${digest} ${ambiguity}`)
  if (depth > MAX_DEPTH) throw new BundleRefused(`${digest} is an index in too many indexes`)
  parts.manifests.push({ digest, mediaType, size: bytes.length })
  const content = parseManifest(bytes)
  for (const blob of blobsOf(content)) {
    const size = await sources.sizeOf(blob.digest)
    if (size === undefined || (blob.size !== undefined && size !== blob.size))
      parts.missing.push({ digest: blob.digest, size: blob.size })
    else parts.blobs.set(blob.digest, size)
  }
  const children = content?.manifests ?? []
  for (const child of children) await addChild(parts, child, sources, depth)
  const images = children.filter(isImage)
  if (images.length > 0 && parts.leftOut.length === images.length)
    parts.missing.push(...images.map(child => ({ digest: child.digest, size: child.size })))
  return parts
}

async function addChild(
  parts: ImageParts,
  child: Descriptor,
  sources: PartsSources,
  depth: number,
): Promise<void> {
  if (isImage(child) && !(await sources.takes(child))) {
    parts.leftOut.push(child.platform ? platformText(child.platform) : child.digest)
    return
  }
  const bytes = await sources.read(child.digest)
  const mediaType = child.mediaType ?? (bytes && mediaTypeIn(bytes)) ?? ''
  const of = await partsOf({ digest: child.digest, mediaType }, sources, depth + 1)
  if (!isImage(child) && of.missing.length > 0) return
  parts.manifests.push(...of.manifests)
  for (const [digest, size] of of.blobs) parts.blobs.set(digest, size)
  parts.missing.push(...of.missing)
  parts.leftOut.push(...of.leftOut)
}

function isImage({ platform }: Descriptor): boolean {
  return !platform || platformText(platform) !== NO_PLATFORM
}
