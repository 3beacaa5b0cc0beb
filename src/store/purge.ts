import type { Digest } from '../oci/digest.js'
import type { BlobStore } from './blob-store.js'
import { listImages, type CachedImage, type ImageSources } from './images.js'
import type { ManifestStore } from './manifest-store.js'
import type { Membership } from './membership.js'
import { scopeKey, type Scope } from './scope.js'
import type { TagCache } from './tag-cache.js'

/** What is to be dropped: an image of a repository, by tag or by digest, or whatever has a digest. */
export type PurgeTarget =
  | { readonly scope: Scope; readonly tag: string }
  | { readonly scope: Scope; readonly digest: Digest }
  | { readonly digest: Digest }

export interface PurgeResult {
  /** Whether anything of it was cached. */
  readonly found: boolean
  /** Files that were dropped, manifests included, and their bytes. */
  readonly files: number
  readonly bytes: number
}

export interface PurgeParts {
  readonly tags: TagCache
  readonly membership: Membership
  readonly manifests: ManifestStore
  readonly store: BlobStore
}

/**
 * Drops an image with all that no other cached image has, or the one thing with a digest. Whoever reads any of it
 * reads on. Throws CacheTrouble.
 */
export async function purge(target: PurgeTarget, parts: PurgeParts): Promise<PurgeResult> {
  if (!('scope' in target)) return removeAll(parts, [target.digest])
  const images: CachedImage[] = []
  for await (const image of listImages(imageSources(parts))) images.push(image)
  const isMeant = ({ scope, tag, digest }: CachedImage): boolean =>
    scopeKey(scope) === scopeKey(target.scope) &&
    ('tag' in target ? tag === target.tag : digest === target.digest)
  const meant = images.filter(isMeant)
  const kept = images.filter(image => !isMeant(image))
  for (const { scope, tag } of meant) if (tag !== undefined) await parts.tags.drop({ scope, tag })

  const ofOthers = new Set(kept.flatMap(contentsOf))
  const ofSameRepository = new Set(
    kept.filter(({ scope }) => scopeKey(scope) === scopeKey(target.scope)).flatMap(contentsOf),
  )
  const contents = new Set(meant.flatMap(contentsOf))
  for (const digest of contents) {
    if (!ofSameRepository.has(digest)) await parts.membership.forget(target.scope, [digest])
  }
  const result = await removeAll(
    parts,
    [...contents].filter(digest => !ofOthers.has(digest)),
  )
  return { ...result, found: meant.length > 0 }
}

/** What there is to look at in a cache that is open. */
function imageSources({ tags, membership, manifests, store }: PurgeParts): ImageSources {
  return {
    tags,
    membership,
    read: digest => manifests.read(digest),
    async sizeOf(digest) {
      const stored = await store.open(digest, { use: false })
      stored?.release()
      return stored?.size
    },
  }
}

function contentsOf({ digest, variants }: CachedImage): Digest[] {
  return [digest, ...variants.flatMap(({ contents }) => contents)]
}

async function removeAll({ manifests, store }: PurgeParts, digests: readonly Digest[]): Promise<PurgeResult> {
  let [files, bytes] = [0, 0]
  for (const digest of digests) {
    const stored = await store.open(digest, { use: false })
    stored?.release()
    if (!(await manifests.remove(digest))) continue
    files++
    bytes += stored?.size ?? 0
  }
  return { found: files > 0, files, bytes }
}
