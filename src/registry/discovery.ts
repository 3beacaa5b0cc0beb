import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { pathOf, type Endpoint, type EndpointKind } from '../oci/endpoint.js'
import { parseRepository } from '../oci/reference.js'
import type { Answer } from '../upstream/send.js'
import type { Upstream } from '../upstream/upstream.js'
import { isAllowed } from './authorize.js'
import { API_VERSION } from './errors.js'
import { exchangeOf, repositoryTarget } from './exchange.js'
import { forward } from './forward.js'
import { listing, nextQuery, readListing, withinPage } from './listing.js'
import { placeOf, withoutPrefix, type Target } from './target.js'

const TagList = z.object({ tags: z.array(z.string()).nullish() })
const Catalog = z.object({ repositories: z.array(z.string()).nullish() })

/** Listings: tags and the catalog, as JSON, with paths of the mirror's own. */
export function discovery(app: FastifyInstance): void {
  forward(app, {
    kind: 'tags',
    methods: ['GET'],
    prepare: request => {
      const { endpoint, place } = repositoryTarget(request, 'tags')
      return listing(request, place.upstream, 'ListImages', {
        ...withinPage(endpoint),
        name: place.upstreamRepository,
      })
    },
    answer: async (request, reply, answer) => {
      const target = repositoryTarget(request, 'tags')
      const { name, n } = target.endpoint
      const { tags } = await readListing(TagList, answer, target, 'ListImages', exchangeOf(request))
      // ECR lists in no order; a page can be put into order, the whole cannot.
      const body = { name, tags: n === 0 ? [] : [...(tags ?? [])].sort() }
      sendListing(reply, target, answer, body, n)
    },
  })

  forward(app, {
    kind: 'catalog',
    methods: ['GET'],
    prepare: request => {
      const { upstream, endpoint } = catalogTarget(request)
      return listing(request, upstream, 'DescribeRepositories', withinPage(endpoint))
    },
    answer: async (request, reply, answer) => {
      const target = catalogTarget(request)
      const { repositories } = await readListing(
        Catalog,
        answer,
        target,
        'DescribeRepositories',
        exchangeOf(request),
      )
      const names = target.endpoint.n === 0 ? [] : visible(request, target, repositories ?? [])
      sendListing(reply, target, answer, { repositories: names }, target.endpoint.n)
    },
  })
}

type CatalogTarget = Target<Extract<Endpoint, { kind: 'catalog' }>> & { readonly upstream: Upstream }

function catalogTarget(request: FastifyRequest): CatalogTarget {
  const { target } = exchangeOf(request)
  if (target?.endpoint.kind !== 'catalog' || !target.upstream)
    throw new Error('The request on the catalog route has another target.')
  return { ...target, endpoint: target.endpoint, upstream: target.upstream }
}

/** The repositories under the names by which this client can pull them, and only those that it may pull. */
function visible(request: FastifyRequest, target: CatalogTarget, repositories: readonly string[]): string[] {
  const exchange = exchangeOf(request)
  const { principal } = exchange
  return repositories
    .map(name => parseRepository(name))
    .flatMap(name => (name && withoutPrefix(target.upstream, name)) ?? [])
    .filter(name => {
      const place = placeOf(target.upstream, name)
      return (
        principal !== undefined && isAllowed(principal, { ...target, actions: ['pull'], place }, exchange)
      )
    })
    .sort()
}

function sendListing(
  reply: FastifyReply,
  target: Target & { readonly endpoint: { readonly kind: EndpointKind } },
  answer: Answer,
  body: unknown,
  n: number | undefined,
): void {
  const { endpoint, upstream } = target
  // The upstream's next page, under the path that this client asked for.
  const next = n === 0 || !upstream ? undefined : nextQuery(upstream, answer)
  void reply
    .headers(API_VERSION)
    .headers(next === undefined ? {} : { link: `<${pathOf(endpoint)}${next}>; rel="next"` })
    .header('content-type', 'application/json')
    .send(Buffer.from(JSON.stringify(body)))
}
