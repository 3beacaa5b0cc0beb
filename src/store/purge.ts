import type { Digest } from '../oci/digest.js'
import { Yielder } from '../yielder.js'
import type { BlobStore } from './blob-store.js'
import { listImages, type CachedImage, type ImageSources } from './images.js'
import type { ManifestReadings } from './manifest-readings.js'
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
  readonly readings: ManifestReadings
  readonly store: BlobStore
}

/**
 * Drops an image with all that no other cached image has, or the one thing with a digest. Whoever reads any of it
 * reads on. Throws CacheTrouble, and the signal's reason before anything was dropped.
 */
export async function purge(
  target: PurgeTarget,
  parts: PurgeParts,
  signal?: AbortSignal,
): Promise<PurgeResult> {
  if (!('scope' in target)) return removeAll(parts, [target.digest])
  const sources = imageSources(parts)
  const isMeant = ({ scope, tag, digest }: CachedImage): boolean =>
    scopeKey(scope) === scopeKey(target.scope) &&
    ('tag' in target ? tag === target.tag : digest === target.digest)
  let found = false
  const tags = new Set<string>()
  /** What the image has alone, in all repositories and in its own. Of all the others nothing is held. */
  const inNoOther = new Set<Digest>()
  for await (const image of listImages(sources, signal)) {
    if (!isMeant(image)) continue
    found = true
    if (image.tag !== undefined) tags.add(image.tag)
    for (const digest of contentsOf(image)) inNoOther.add(digest)
  }
  if (!found) return { found, files: 0, bytes: 0 }
  const inNoOtherHere = new Set(inNoOther)
  const yielder = new Yielder()
  for await (const image of listImages(sources, signal)) {
    if (isMeant(image)) continue
    const isHere = scopeKey(image.scope) === scopeKey(target.scope)
    for (const digest of contentsOf(image)) {
      inNoOther.delete(digest)
      if (isHere) inNoOtherHere.delete(digest)
    }
    await yielder.step(signal)
  }
  for (const tag of tags) await parts.tags.drop({ scope: target.scope, tag })
  await parts.membership.forget(target.scope, inNoOtherHere)
  return { ...(await removeAll(parts, inNoOther)), found }
}

/** What there is to look at in a cache that is open. */
function imageSources({ tags, membership, manifests, readings, store }: PurgeParts): ImageSources {
  return {
    tags,
    membership,
    readings,
    read: digest => manifests.read(digest),
    async sizeOf(digest) {
      const stored = await store.open(digest, { use: false })
      stored?.release()
      return stored?.size
    },
  }
}

function* contentsOf({ digest, variants }: CachedImage): Generator<Digest> {
  yield digest
  for (const { contents } of variants) yield* contents
}

async function removeAll({ manifests, store }: PurgeParts, digests: Iterable<Digest>): Promise<PurgeResult> {
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
