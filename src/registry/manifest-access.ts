import type { FastifyRequest } from 'fastify'
import { normalAccept } from '../oci/accept.js'
import { blobsVouchedFor } from '../oci/ambiguity.js'
import type { Descriptor } from '../oci/manifest.js'
import { referenceText } from '../oci/reference.js'
import type { CacheResult } from '../store/lease.js'
import { WalkBudget } from '../store/manifest-walk.js'
import type { KnownManifest } from '../store/membership.js'
import type { TagName } from '../store/tag-cache.js'
import { saysNo } from '../upstream/verdict.js'
import { Yielder } from '../yielder.js'
import type { Cache } from './cache.js'
import { exchangeOf } from './exchange.js'
import type { Flights } from './flights.js'
import type { Manifest, ManifestTarget, WholeManifest } from './manifest-source.js'
import type { PullThrough } from './pull-through.js'
import { recordBlobs } from './record-blobs.js'
import { askOrFallBack } from './stale.js'

/** What manifests are found in. */
export interface ManifestSources {
  readonly cache: Cache
  readonly flights: Flights<WholeManifest>
  readonly source: Pick<PullThrough, 'fetch'>
}

export interface FoundManifest {
  readonly manifest: Manifest
  readonly result: CacheResult | 'stale'
}

/**
 * A manifest by way of the cache. What was learnt lately is served as it is; else the upstream is asked, once for all
 * who ask the same. Its yes is noted and its no is final: what it says is not there, or not to be had, is forgotten.
 * Only when it cannot be asked does the last known answer do, marked stale, as long as the configuration lets it.
 * Throws the upstream's refusal.
 */
export async function findManifest(
  request: FastifyRequest,
  target: ManifestTarget,
  { cache, flights, source }: ManifestSources,
): Promise<FoundManifest> {
  const known = knownManifest(request, target, cache)
  if (known?.proof === 'fresh' && !wantsRevalidation(request)) {
    const manifest = await stored(cache, known)
    if (manifest) return { manifest, result: 'hit' }
  }
  const { gone } = exchangeOf(request)
  return askOrFallBack<FoundManifest>(
    target.place.upstream,
    gone,
    async signal => {
      const { result, first } = await flights.join(flightKey(request, target, cache), signal, shared =>
        learn(request, target, { cache, source }, shared),
      )
      return { manifest: result, result: first ? 'miss' : 'join' }
    },
    fallBackOf(request, target, cache),
  )
}

function knownManifest(
  request: FastifyRequest,
  target: ManifestTarget,
  cache: Cache,
): KnownManifest | undefined {
  const { reference } = target.endpoint
  if ('digest' in reference) return cache.manifest(request, reference.digest)
  return cache.tags.lookup(tagName(request, cache, reference.tag), request.headers.accept)
}

/** Undefined when there is nothing to fall back on. */
function fallBackOf(
  request: FastifyRequest,
  target: ManifestTarget,
  cache: Cache,
): (() => Promise<FoundManifest | undefined>) | undefined {
  if (!lastKnown(request, target, cache)) return undefined
  return async () => {
    // Once more, since somebody may have pushed, deleted or been told no meanwhile.
    const last = lastKnown(request, target, cache)
    const manifest = last && (await stored(cache, last))
    return manifest && { manifest, result: 'stale' }
  }
}

function lastKnown(request: FastifyRequest, target: ManifestTarget, cache: Cache): KnownManifest | undefined {
  const { reference } = target.endpoint
  const last =
    'digest' in reference
      ? cache.manifest(request, reference.digest)
      : cache.tags.lastKnown(tagName(request, cache, reference.tag), request.headers.accept)
  return last?.proof === 'none' ? undefined : last
}

/** With its bytes, also for a HEAD: what is promised is asked for next. */
async function stored(
  cache: Cache,
  { digest, mediaType, size }: KnownManifest,
): Promise<Manifest | undefined> {
  const bytes = await cache.manifests.read(digest)
  // A journal that says otherwise was damaged, and may be wrong about the rest too.
  return bytes?.length === size ? { digest, mediaType, size, bytes } : undefined
}

/** Asks the upstream, and notes what it says. */
async function learn(
  request: FastifyRequest,
  target: ManifestTarget,
  { cache, source }: Omit<ManifestSources, 'flights'>,
  signal: AbortSignal,
): Promise<WholeManifest> {
  const { reference } = target.endpoint
  const name = 'tag' in reference ? tagName(request, cache, reference.tag) : undefined
  const mark = name && cache.tags.mark(name)
  let manifest: WholeManifest
  try {
    manifest = await source.fetch(request, target, signal)
  } catch (error) {
    if (saysNo(error)) {
      if (name) await cache.tags.forget(name)
      if ('digest' in reference) await cache.forget(request, reference.digest)
    }
    throw error
  }
  cache.manifests.keep(manifest.digest, manifest.bytes)
  cache.recordManifest(request, manifest)
  const reading = await cache.readings.read(manifest.digest, manifest.bytes)
  await recordBlobs(request, cache, blobsVouchedFor(reading, manifest.mediaType), signal)
  if (mark) cache.tags.record(mark, request.headers.accept, manifest)
  await vouchForChildren(request, cache, reading.content?.manifests ?? [], signal)
  return manifest
}

/**
 * A registry takes an index only with its manifests, and keeps them as long as it keeps the index (ECR refuses to delete
 * an image that an index refers to). So what is known of them is known anew, with the blobs that they name; of what is
 * too much to be looked at here the upstream is asked again when its time is over. Throws the signal's reason.
 */
async function vouchForChildren(
  request: FastifyRequest,
  cache: Cache,
  children: readonly Descriptor[],
  signal: AbortSignal,
): Promise<void> {
  const yielder = new Yielder()
  const budget = new WalkBudget()
  for (const digest of new Set(children.map(child => child.digest))) {
    await yielder.step(signal)
    const child = cache.manifest(request, digest)
    if (!child || child.proof === 'none') continue
    const bytes = await cache.manifests.read(digest)
    if (!bytes) continue
    const blobs = blobsVouchedFor(await cache.readings.read(digest, bytes), child.mediaType)
    if (!budget.take(1 + blobs.length, bytes.length)) return
    // It may have been forgotten meanwhile.
    if (!cache.manifest(request, digest)) continue
    cache.recordManifest(request, child)
    await recordBlobs(request, cache, blobs, signal)
  }
}

/** The same question to the same upstream, asked since the same push or deletion. */
function flightKey(request: FastifyRequest, { endpoint, place }: ManifestTarget, cache: Cache): string {
  const { registry, repository } = cache.scope(request)
  const { reference } = endpoint
  const since =
    'digest' in reference
      ? cache.lastRevocation(request)
      : cache.tags.lastDrop(tagName(request, cache, reference.tag))
  const accept = normalAccept(request.headers.accept)
  const { name } = place.upstream
  return JSON.stringify([name, registry, repository, referenceText(reference), accept, since])
}

function tagName(request: FastifyRequest, cache: Cache, tag: string): TagName {
  return { scope: cache.scope(request), tag }
}

/** RFC 9111, section 5.2.1.4. */
function wantsRevalidation({ headers }: FastifyRequest): boolean {
  return /(?:^|[\s,])no-cache(?:$|[\s,])/i.test(headers['cache-control'] ?? '')
}
