import type { FastifyRequest } from 'fastify'
import type { Endpoint } from '../oci/endpoint.js'
import { OciError } from '../oci/error.js'
import type { Repository } from '../oci/reference.js'
import type { Upstream } from '../upstream/upstream.js'
import { isAllowed } from './authorize.js'
import { exchangeOf } from './exchange.js'
import { placeOf, type Place, type RepositoryTarget } from './target.js'

type Uploads = Extract<Endpoint, { kind: 'uploads' }>

/** What to ask the upstream: its own name for the repository, and a mount only from where the client may pull. */
export function upstreamEndpoint(request: FastifyRequest, target: RepositoryTarget<'uploads'>): Uploads {
  const { endpoint, place } = target
  const { mount, from, digest, ...rest } = endpoint
  const plain: Uploads = { ...rest, name: place.upstreamRepository }
  const source = mount && from && mountSource(request, target, from)
  // Never both, so that a 201 leaves no doubt which of them is there.
  if (source) return { ...plain, mount, from: source }
  // A mount without a source, or from another registry, is an ordinary upload.
  return digest ? { ...plain, digest } : plain
}

function mountSource(
  request: FastifyRequest,
  target: RepositoryTarget<'uploads'>,
  from: Repository,
): Repository | undefined {
  const exchange = exchangeOf(request)
  const selected = exchange.rules.upstreams.select({
    ns: target.ns,
    host: request.headers.host ?? '',
    name: from,
  })
  if (
    selected instanceof OciError ||
    selected.repository === undefined ||
    selected.upstream !== target.upstream
  )
    return undefined
  const place = sourcePlace(selected.upstream, selected.repository)
  if (!place) return undefined
  const { principal } = exchange
  if (!principal || !isAllowed(principal, { ...target, actions: ['pull'], place }, exchange)) return undefined
  return place.upstreamRepository
}

/** Undefined where the prefix makes the name longer than a repository's may be: there is none of that name. */
function sourcePlace(upstream: Upstream, repository: Repository): Place | undefined {
  try {
    return placeOf(upstream, repository)
  } catch (error) {
    if (error instanceof OciError) return undefined
    throw error
  }
}
