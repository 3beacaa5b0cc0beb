import type { FastifyRequest } from 'fastify'
import { normalAccept } from '../oci/accept.js'
import { blobsVouchedFor } from '../oci/ambiguity.js'
import type { Descriptor } from '../oci/manifest.js'
import { referenceText } from '../oci/reference.js'
import type { CacheResult } from '../store/lease.js'
import { WalkBudget } from '../store/manifest-walk.js'
import type { KnownManifest, ManifestFacts } from '../store/membership.js'
import { saysNo } from '../upstream/verdict.js'
import { Yielder } from '../yielder.js'
import type { Cache } from './cache.js'
import { clientKey } from './client-key.js'
import { exchangeOf } from './exchange.js'
import type { FairFlights } from './fair-flights.js'
import { noteRefusal, tagName } from './forget-manifest.js'
import type { Manifest, ManifestTarget, WholeManifest } from './manifest-source.js'
import type { PullThrough } from './pull-through.js'
import { recordBlobs } from './record-blobs.js'
import { wantsRevalidation } from './revalidation.js'
import { askOrFallBack } from './stale.js'

/** What manifests are found in. */
export interface ManifestSources {
  readonly cache: Cache
  readonly flights: FairFlights<WholeManifest>
  readonly source: PullThrough
}

export interface FoundManifest {
  readonly manifest: Manifest
  readonly result: CacheResult | 'stale'
}

/**
 * A manifest by way of the cache. What was learnt lately is served as it is; else the upstream is asked, once for all
 * who ask the same. Its yes is noted and its no is final: what it says is not there, or not to be had, is forgotten.
 * Only when it cannot be asked does the last known answer do, marked stale, as long as the configuration lets it.
 * Who wants it asked anew gets neither of these, nor what somebody else asked before.
 * Throws the upstream's refusal.
 */
export async function findManifest(
  request: FastifyRequest,
  target: ManifestTarget,
  { cache, flights, source }: ManifestSources,
  signal: AbortSignal,
): Promise<FoundManifest> {
  if (wantsRevalidation(request))
    return { manifest: await learn(request, target, { cache, source }, signal), result: 'miss' }
  const known = knownManifest(request, target, cache)
  if (known?.proof === 'fresh') {
    const manifest = await stored(cache, known)
    if (manifest) return { manifest, result: 'hit' }
  }
  const exchange = exchangeOf(request)
  return askOrFallBack<FoundManifest>(
    target.place.upstream,
    signal,
    async asker => {
      // Here, and not by whoever asks for all, since being refused this is each request's own matter.
      exchange.share.askUpstream()
      const { result, first } = await flights.join(
        flightKey(request, target, cache),
        clientKey(exchange),
        asker,
        shared => learn(request, target, { cache, source }, shared),
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
export async function stored(
  cache: Cache,
  { digest, mediaType, size }: ManifestFacts,
): Promise<WholeManifest | undefined> {
  const bytes = await cache.manifests.read(digest)
  // A journal that says otherwise was damaged, and may be wrong about the rest too.
  return bytes?.length === size ? { digest, mediaType, size, bytes } : undefined
}

/** Asks the upstream, and notes what it says. Throws its refusal. */
export async function learn(
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
    if (saysNo(error)) await noteRefusal(request, { target, cache, source }, signal)
    throw error
  }
  cache.manifests.keep(manifest.digest, manifest.bytes)
  if (mark) cache.tags.record(mark, request.headers.accept, manifest)
  await recordShown(request, cache, manifest, signal)
  return manifest
}

/** The upstream showed that it has a manifest, and with it all that it takes one with. */
export async function recordShown(
  request: FastifyRequest,
  cache: Cache,
  manifest: WholeManifest,
  signal: AbortSignal,
): Promise<void> {
  cache.recordManifest(request, manifest)
  const reading = await cache.readings.read(manifest.digest, manifest.bytes)
  await recordBlobs(request, cache, blobsVouchedFor(reading, manifest.mediaType), signal)
  await vouchForChildren(request, cache, reading.content?.manifests ?? [], signal)
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
