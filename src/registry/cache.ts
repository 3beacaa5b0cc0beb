import type { FastifyRequest } from 'fastify'
import type { Digest } from '../oci/digest.js'
import type { BlobCache } from '../store/blob-cache.js'
import type { Mark, Membership, Proof } from '../store/membership.js'
import type { Place } from './target.js'

/** The cache as the endpoints use it: bytes by digest, and whether a request's repository is proven to have them. */
export interface Cache {
  readonly blobs: BlobCache
  /** When a range of a blob that is not stored makes all of it be fetched. */
  readonly fillOnRange: 'auto' | 'always' | 'never'
  /** A request about a repository begins. */
  begin(request: FastifyRequest, place: Place): void
  proof(request: FastifyRequest, digest: Digest): Proof
  /** The upstream showed, in answer to this request, that its repository has these. */
  record(request: FastifyRequest, digests: Iterable<Digest>): void
  /** The upstream said that the request's repository does not have it. */
  forget(request: FastifyRequest, digest: Digest): Promise<void>
  /** Something was deleted from the request's repository: what is left has to be proven anew. */
  revoke(request: FastifyRequest): Promise<void>
}

export interface CacheParts {
  readonly blobs: BlobCache
  readonly membership: Membership
  readonly fillOnRange: Cache['fillOnRange']
}

export function createCache({ blobs, membership, fillOnRange }: CacheParts): Cache {
  /** Taken before the upstream is asked, so that what it says does not outlive a deletion in between. */
  const marks = new WeakMap<FastifyRequest, Mark>()
  return {
    blobs,
    fillOnRange,
    begin(request, { upstream, upstreamRepository }) {
      // Two upstreams of one host see the same repositories, whatever prefix each puts before them.
      marks.set(request, membership.mark({ registry: upstream.ecr.host, repository: upstreamRepository }))
    },
    proof(request, digest) {
      const mark = marks.get(request)
      return mark ? membership.proof(mark.scope, digest) : 'none'
    },
    record(request, digests) {
      const mark = marks.get(request)
      if (mark) membership.record(mark, digests)
    },
    async forget(request, digest) {
      const mark = marks.get(request)
      if (mark) await membership.forget(mark.scope, digest)
    },
    async revoke(request) {
      const mark = marks.get(request)
      if (mark) await membership.revoke(mark.scope)
    },
  }
}
