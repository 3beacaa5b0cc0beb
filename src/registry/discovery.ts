import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { pathOf, queryOf, type Endpoint, type EndpointKind, type Paging } from '../oci/endpoint.js'
import { OciError } from '../oci/error.js'
import { parseRepository } from '../oci/reference.js'
import { refusalOf } from '../upstream/dialect.js'
import { outboundHeaders, passedOn } from '../upstream/headers.js'
import { ownPath } from '../upstream/location.js'
import { readBody } from '../upstream/read-body.js'
import type { EcrAction } from '../upstream/ecr-action.js'
import type { Answer } from '../upstream/send.js'
import type { Upstream } from '../upstream/upstream.js'
import { isAllowed } from './authorize.js'
import { API_VERSION } from './errors.js'
import { exchangeOf, repositoryTarget } from './exchange.js'
import { forward } from './forward.js'
import { PATIENCE } from './patience.js'
import { placeOf, withoutPrefix, type Target } from './target.js'

/** The largest listing that is taken from an upstream, in bytes. */
const MAX_LISTING = 8 * 1024 * 1024

/** ECR refuses to list more at once (`maxResults` of ListImages); the specification lets a registry give fewer. */
const MAX_PAGE = 1000

const TagList = z.object({ tags: z.array(z.string()).nullish() })
const Catalog = z.object({ repositories: z.array(z.string()).nullish() })

/** Listings: tags, referrers and the catalog, as JSON, with paths of the mirror's own. */
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
      const { tags } = await readListing(TagList, answer, target, 'ListImages')
      // ECR lists in no order; a page can be put into order, the whole cannot.
      const body = { name, tags: n === 0 ? [] : [...(tags ?? [])].sort() }
      sendListing(reply, target, answer, body, n)
    },
  })

  forward(app, {
    kind: 'referrers',
    methods: ['GET'],
    prepare: request => {
      const { endpoint, place } = repositoryTarget(request, 'referrers')
      return listing(request, place.upstream, 'ListImageReferrers', {
        ...endpoint,
        name: place.upstreamRepository,
      })
    },
    answer: async (request, reply, answer) => {
      const target = repositoryTarget(request, 'referrers')
      const index = await readListing(
        z.looseObject({ manifests: z.array(z.unknown()) }),
        answer,
        target,
        'ListImageReferrers',
      )
      reply.headers(passedOn(answer.headers))
      sendListing(reply, target, answer, index, undefined, 'application/vnd.oci.image.index.v1+json')
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
      const { repositories } = await readListing(Catalog, answer, target, 'DescribeRepositories')
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

function listing(request: FastifyRequest, upstream: Upstream, action: EcrAction, endpoint: Endpoint) {
  const query = queryOf(endpoint)
  return {
    upstream,
    action,
    method: 'GET' as const,
    path: pathOf(endpoint) + (query && `?${query}`),
    headers: outboundHeaders(request.headers, ['accept']),
    patience: PATIENCE.read,
  }
}

/** A page that ECR gives: of at most a thousand entries, and of one where none are wanted. */
function withinPage<E extends Paging>(endpoint: E): E {
  return endpoint.n === undefined ? endpoint : { ...endpoint, n: Math.min(Math.max(endpoint.n, 1), MAX_PAGE) }
}

async function readListing<T>(
  schema: z.ZodType<T>,
  answer: Answer,
  { upstream, place }: Target,
  action: EcrAction,
): Promise<T> {
  const name = upstream?.name ?? ''
  if (answer.statusCode !== 200)
    throw await refusalOf(answer, { action, upstream: name, repository: place?.upstreamRepository })
  const bytes = await readBody(answer.body, MAX_LISTING)
  try {
    return schema.parse(JSON.parse(bytes?.toString('utf8') ?? ''))
  } catch {
    throw new OciError('UNKNOWN', `The upstream "${name}" sent a listing that is not one.`, { status: 502 })
  }
}

function sendListing(
  reply: FastifyReply,
  target: Target & { readonly endpoint: { readonly kind: EndpointKind } },
  answer: Answer,
  body: unknown,
  n: number | undefined,
  type = 'application/json',
): void {
  const next = n === 0 ? undefined : nextPage(target, answer)
  void reply
    .headers(API_VERSION)
    .headers(next === undefined ? {} : { link: `<${next}>; rel="next"` })
    .header('content-type', type)
    .send(Buffer.from(JSON.stringify(body)))
}

/** The upstream's next page, under the path that this client asked for (RFC 8288; ECR's Link is absolute). */
function nextPage({ endpoint, upstream }: Target, answer: Answer): string | undefined {
  const links = [answer.headers.link ?? []].flat().join(',')
  const next = /<([^<>]{1,8192})>\s*;\s*rel="?next"?/i.exec(links)
  const own = upstream && ownPath(next?.[1], upstream.settings)
  const mark = own?.indexOf('?') ?? -1
  return own === undefined || mark < 0 ? undefined : pathOf(endpoint) + own.slice(mark)
}
