import type { FastifyRequest } from 'fastify'
import type { Digest } from '../oci/digest.js'
import type { BlobCache } from '../store/blob-cache.js'
import type { ManifestReadings } from '../store/manifest-readings.js'
import type { ManifestStore } from '../store/manifest-store.js'
import type { KnownManifest, ManifestFacts, Mark, Membership } from '../store/membership.js'
import type { Proof } from '../store/proof.js'
import type { ReferrersCache } from '../store/referrers-cache.js'
import type { Scope } from '../store/scope.js'
import type { SmallBlobs } from '../store/small-blobs.js'
import type { TagCache } from '../store/tag-cache.js'
import { FairFlights } from './fair-flights.js'
import type { FairSlots } from './fair-slots.js'
import { registryKey } from '../upstream/registry-key.js'
import { wantsRevalidation } from './revalidation.js'
import type { Place } from './target.js'

/** The cache as the endpoints use it: bytes by digest, what tags stand for, and what a repository is proven to have. */
export interface Cache {
  readonly blobs: BlobCache
  readonly manifests: ManifestStore
  /** What manifests say. */
  readonly readings: ManifestReadings
  readonly tags: TagCache
  readonly referrers: ReferrersCache
  /** When a range of a blob that is not stored makes all of it be fetched. */
  readonly fillOnRange: 'auto' | 'always' | 'never'
  /** For every question to an upstream of a request that has no fresh proof of what it asks for. */
  readonly questions: FairSlots
  /** Questions whether a repository has a blob, by repository and digest; the answer is its size in bytes. */
  readonly blobQuestions: FairFlights<number>
  /** A request about a repository begins. */
  begin(request: FastifyRequest, place: Place): void
  /** The repository of a request that began. */
  scope(request: FastifyRequest): Scope
  /** That the request's repository has the blob; what was learnt before is none to who wants it asked anew. */
  proof(request: FastifyRequest, digest: Digest): Proof
  /** The bytes of a blob that is in memory, and that the request's repository is known to have. */
  held(request: FastifyRequest, digest: Digest): Buffer | undefined
  /** The upstream showed, in answer to this request, that its repository has these blobs. */
  record(request: FastifyRequest, digests: Iterable<Digest>): void
  /** What is known of a manifest of the request's repository. */
  manifest(request: FastifyRequest, digest: Digest): KnownManifest | undefined
  /** The upstream showed, in answer to this request, that its repository has this manifest. */
  recordManifest(request: FastifyRequest, manifest: ManifestFacts): void
  /** Differs once something was deleted from the request's repository. */
  lastRevocation(request: FastifyRequest): number
  /** The upstream said that the request's repository does not have these, as blobs or as manifests. */
  forget(request: FastifyRequest, ...digests: readonly Digest[]): Promise<void>
  /** The upstream said that the request's repository does not exist: what was known is of one that was. */
  forgetRepository(request: FastifyRequest): Promise<void>
  /** Something was deleted from the request's repository: what is left has to be proven anew. */
  revoke(request: FastifyRequest): Promise<void>
}

export interface CacheParts {
  readonly blobs: BlobCache
  /** Undefined where every blob is read from the disk each time. */
  readonly smallBlobs?: SmallBlobs | undefined
  readonly manifests: ManifestStore
  readonly readings: ManifestReadings
  readonly membership: Membership
  readonly tags: TagCache
  readonly referrers: ReferrersCache
  readonly fillOnRange: Cache['fillOnRange']
  readonly questions: FairSlots
}

export function createCache({ membership, smallBlobs, ...parts }: CacheParts): Cache {
  /** Taken before the upstream is asked, so that what it says does not outlive a deletion in between. */
  const marks = new WeakMap<FastifyRequest, Mark>()
  /** Requests for which nothing counts that was learnt before; what they themselves learn does. */
  const doubting = new WeakSet<FastifyRequest>()

  function markOf(request: FastifyRequest): Mark {
    const mark = marks.get(request)
    if (!mark) throw new Error('The request is not about a repository.')
    return mark
  }

  function proofFor(request: FastifyRequest, digest: Digest): Proof {
    return doubting.has(request) ? 'none' : membership.proof(markOf(request).scope, digest)
  }

  return {
    ...parts,
    blobQuestions: new FairFlights(parts.questions),
    begin(request, { upstream, upstreamRepository }) {
      const registry = registryKey(upstream.settings)
      marks.set(request, membership.mark({ registry, repository: upstreamRepository }))
      if (wantsRevalidation(request)) doubting.add(request)
    },
    scope: request => markOf(request).scope,
    proof: proofFor,
    held: (request, digest) => (proofFor(request, digest) === 'fresh' ? smallBlobs?.held(digest) : undefined),
    record(request, digests) {
      doubting.delete(request)
      membership.record(markOf(request), digests)
    },
    manifest: (request, digest) => membership.manifest(markOf(request).scope, digest),
    recordManifest: (request, manifest) => membership.recordManifest(markOf(request), manifest),
    lastRevocation: request => membership.lastRevocation(markOf(request).scope),
    forget: (request, ...digests) => membership.forget(markOf(request).scope, digests),
    async forgetRepository(request) {
      const scope = marks.get(request)?.scope
      if (!scope) return
      const { tags, referrers } = parts
      // Repositories that never were shall not fill the memory of those that were dropped.
      if (![membership, tags, referrers].some(each => each.knows(scope))) return
      referrers.drop(scope)
      await Promise.all([membership.revoke(scope), tags.dropAll(scope)])
    },
    revoke: request => membership.revoke(markOf(request).scope),
  }
}
