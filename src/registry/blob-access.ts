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
 * A hold on the blob that is asked for, by way of the cache. Undefined when the request is to be streamed past it: for
 * a range that shall not fetch the whole, or because the cache is in trouble. Throws the upstream's refusal.
 */
export async function leaseBlob(
  request: FastifyRequest,
  cache: Cache,
  range: ByteRange | undefined,
  signal: AbortSignal,
): Promise<ProvenLease | undefined> {
  const { endpoint } = repositoryTarget(request, 'blob')
  try {
    if (range && !fillsWhole(range, cache.fillOnRange) && !(await cache.blobs.knows(endpoint.digest)))
      return undefined
    const source = admitted(request, sourceOf(request, cache))
    const lease = await cache.blobs.lease(endpoint.digest, source, signal)
    // A download that began for this repository, by whomever, is a proof by itself: the upstream gave the bytes.
    if (cache.proof(request, endpoint.digest) === 'fresh') return { lease, stale: false }
    try {
      const stale = await prove(request, cache, signal)
      return { lease, stale }
    } catch (error) {
      lease.release()
      throw error
    }
  } catch (error) {
    if (!(error instanceof CacheTrouble)) throw error
    request.log.warn({ reason: error.message }, 'streaming past the cache')
    return undefined
  }
}

/** Asks the upstream whether the repository contains the blob. Says whether a proof that has expired has to do. */
async function prove(request: FastifyRequest, cache: Cache, signal: AbortSignal): Promise<boolean> {
  const { endpoint, place } = repositoryTarget(request, 'blob')
  const stale = cache.proof(request, endpoint.digest) === 'stale'
  const ask = async (asker: AbortSignal): Promise<boolean> => {
    await askForBlob(request, cache, asker)
    return false
  }
  // Asked again when it comes to that: somebody may have deleted, or been told no, meanwhile.
  const fallBack = async (): Promise<true | undefined> =>
    cache.proof(request, endpoint.digest) === 'none' ? undefined : true
  return askOrFallBack(place.upstream, signal, ask, stale ? fallBack : undefined)
}

/** The blob's size in bytes, as the upstream has it, which proves that the repository does. Throws its refusal. */
export async function askForBlob(
  request: FastifyRequest,
  cache: Cache | undefined,
  signal: AbortSignal,
): Promise<number> {
  const target = repositoryTarget(request, 'blob')
  const { endpoint, place } = target
  exchangeOf(request).share.askUpstream()
  const found = await place.upstream.blobs.stat(place.upstreamRepository, endpoint.digest, signal)
  if ('size' in found) {
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
  return {
    client: exchangeOf(request).share.client,
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
      return openedBlob(found)
    },
  }
}

/** The source, if it is not too much now to ask the upstream. What it has once been asked for it goes on with. */
function admitted(request: FastifyRequest, source: BlobSource): BlobSource {
  const { share } = exchangeOf(request)
  return {
    ...source,
    open: async (range, signal) => {
      share.askUpstream()
      return source.open(range, signal)
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
