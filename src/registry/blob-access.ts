import { Readable } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import type { ByteRange } from '../oci/byte-range.js'
import { fitsSize } from '../oci/digest.js'
import type { BlobSource, OpenedBlob } from '../store/blob-source.js'
import { CacheTrouble } from '../store/blob-store.js'
import type { Lease } from '../store/lease.js'
import type { OpenBlob } from '../upstream/blob-source.js'
import { RangeNotSatisfiable } from '../upstream/blob-body.js'
import type { Answer } from '../upstream/send.js'
import type { Cache } from './cache.js'
import { clientKey } from './client-key.js'
import { exchangeOf, repositoryTarget } from './exchange.js'
import { refuse } from './refuse.js'
import { askOrFallBack } from './stale.js'

/** A hold on a blob that the request's repository is proven to contain. */
export interface ProvenLease {
  readonly lease: Lease
  /** The proof has expired, and the upstream could not be asked. */
  readonly stale: boolean
}

/**
 * A hold on the blob that is asked for, by way of the cache. That the repository has it is proven first: until then
 * nothing is touched that other requests share, neither a download nor a stored file, nor does any answer depend on
 * them. Undefined when the request is to be streamed past the cache: for a range that shall not fetch the whole, or
 * because the cache is in trouble. Throws the upstream's refusal.
 */
export async function leaseBlob(
  request: FastifyRequest,
  cache: Cache,
  range: ByteRange | undefined,
  signal: AbortSignal,
): Promise<ProvenLease | undefined> {
  const { endpoint } = repositoryTarget(request, 'blob')
  try {
    const stale = await prove(request, cache, signal)
    if (range && !fillsWhole(range, cache.fillOnRange) && !(await cache.blobs.knows(endpoint.digest)))
      return undefined
    const lease = await cache.blobs.lease(endpoint.digest, sourceOf(request, cache), signal)
    return { lease, stale }
  } catch (error) {
    if (!(error instanceof CacheTrouble)) throw error
    request.log.warn({ reason: error.message }, 'streaming past the cache')
    return undefined
  }
}

/**
 * Makes sure that the repository contains the blob; asks the upstream unless that was proven lately. Says whether a
 * proof that has expired has to do. Throws the upstream's refusal.
 */
async function prove(request: FastifyRequest, cache: Cache, signal: AbortSignal): Promise<boolean> {
  const { endpoint, place } = repositoryTarget(request, 'blob')
  const proof = cache.proof(request, endpoint.digest)
  if (proof === 'fresh') return false
  const ask = async (asker: AbortSignal): Promise<boolean> => {
    const exchange = exchangeOf(request)
    // Here, and not by whoever asks for all, since being refused this is each request's own matter.
    exchange.share.askUpstream()
    await cache.blobQuestions.join(questionKey(request, cache), clientKey(exchange), asker, shared =>
      askUpstreamForBlob(request, cache, shared),
    )
    return false
  }
  // Looked at when it comes to that: somebody may have deleted, or been told no, meanwhile.
  const fallBack = async (): Promise<true | undefined> =>
    cache.proof(request, endpoint.digest) !== 'none' && (await cache.blobs.knows(endpoint.digest))
      ? true
      : undefined
  return askOrFallBack(place.upstream, signal, ask, proof === 'stale' ? fallBack : undefined)
}

/** The same question to the same upstream, asked since the same deletion. */
function questionKey(request: FastifyRequest, cache: Cache): string {
  const { endpoint, place } = repositoryTarget(request, 'blob')
  const { registry, repository } = cache.scope(request)
  const since = cache.lastRevocation(request)
  return JSON.stringify([place.upstream.name, registry, repository, endpoint.digest, since])
}

/**
 * The blob's size in bytes, as the upstream has it now, which proves that the repository does. Throws its refusal, or an
 * OciError (503) when this client asks too much at a time.
 */
export async function askForBlob(
  request: FastifyRequest,
  cache: Cache | undefined,
  signal: AbortSignal,
): Promise<number> {
  const exchange = exchangeOf(request)
  exchange.share.askUpstream()
  const ask = (): Promise<number> => askUpstreamForBlob(request, cache, signal)
  return cache ? cache.questions.run(clientKey(exchange), signal, ask) : ask()
}

async function askUpstreamForBlob(
  request: FastifyRequest,
  cache: Cache | undefined,
  signal: AbortSignal,
): Promise<number> {
  const target = repositoryTarget(request, 'blob')
  const { endpoint, place } = target
  const found = await place.upstream.blobs.stat(place.upstreamRepository, endpoint.digest, signal)
  if ('size' in found) {
    exchangeOf(request).warning = found.warning
    cache?.record(request, [endpoint.digest])
    return found.size
  }
  const refusal = await refuse(found, target, 'BatchCheckLayerAvailability')
  if (refusal.status === 404 || refusal.status === 403) await cache?.forget(request, endpoint.digest)
  throw refusal
}

/** What lazy-pulling clients ask for, bounded ranges anywhere, is not worth the whole; a resumed download is. */
function fillsWhole(range: ByteRange, policy: Cache['fillOnRange']): boolean {
  if (policy !== 'auto') return policy === 'always'
  return 'first' in range && (range.first === 0 || range.last === undefined)
}

/** The blob at the request's upstream, in the store's terms. What it gives is proven to be in the repository. */
export function sourceOf(request: FastifyRequest, cache: Cache): BlobSource {
  const target = repositoryTarget(request, 'blob')
  const { endpoint, place } = target
  const { registry, repository } = cache.scope(request)
  return {
    client: exchangeOf(request).share.client,
    origin: JSON.stringify([place.upstream.name, registry, repository]),
    admit: () => exchangeOf(request).share.askUpstream(),
    open: async (range, signal) => {
      const asked = { first: range.first, last: range.last }
      const found: OpenBlob | Answer | undefined = await place.upstream.blobs
        .open(place.upstreamRepository, endpoint.digest, asked, signal)
        .catch((error: unknown) => {
          // Nothing has no first byte, which storage says by refusing the range.
          if (error instanceof RangeNotSatisfiable && error.size === 0 && fitsSize(endpoint.digest, 0))
            return undefined
          throw error
        })
      if (found && 'statusCode' in found) throw await refuse(found, target, 'GetDownloadUrlForLayer')
      cache.record(request, [endpoint.digest])
      if (!found) return emptyBlob()
      exchangeOf(request).warning = found.warning
      return openedBlob(found)
    },
  }
}

function emptyBlob(): OpenedBlob {
  return { size: 0, first: 0, last: -1, body: Readable.from([]), again: () => Promise.resolve(emptyBlob()) }
}

function openedBlob(opened: OpenBlob): OpenedBlob {
  const { size, first, last, body } = opened
  return {
    size,
    first,
    last,
    body,
    again: async (range, signal) => openedBlob(await opened.again(range, signal)),
  }
}
