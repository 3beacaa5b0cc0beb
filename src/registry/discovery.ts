import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { pathOf, type Endpoint } from '../oci/endpoint.js'
import { OciError } from '../oci/error.js'
import { parseRepository, parseTag } from '../oci/reference.js'
import { discard } from '../upstream/discard.js'
import type { EcrAction } from '../upstream/ecr-action.js'
import type { Answer } from '../upstream/send.js'
import type { Upstream } from '../upstream/upstream.js'
import { isAllowed } from './authorize.js'
import { withinTime } from './deadline.js'
import { API_VERSION } from './errors.js'
import { exchangeOf, repositoryTarget } from './exchange.js'
import { forward } from './forward.js'
import { askedPage, listing, MAX_PAGE, nextQuery, readListing } from './listing.js'
import { orderedPage, type ListedPage } from './ordered-page.js'
import { sendTimed } from './send-timed.js'
import { placeOf, withoutPrefix, type Target } from './target.js'

const TagList = z.object({ tags: z.array(z.string()).nullish() })
const Catalog = z.object({ repositories: z.array(z.string()).nullish() })

/** How long reading all of a list may take, in milliseconds: containerd gives up on headers after 30 s. */
const IN_ORDER_WITHIN = 25_000

/** How many pages of an upstream are read to find what comes behind an entry: ECR has a hundred thousand images. */
const MAX_PAGES = 100

/** And to find the first entries, which can also be given as the upstream orders them. */
const MAX_PAGES_FIRST = 10

/** Listings: tags and the catalog, as JSON, with paths of the mirror's own. */
export function discovery(app: FastifyInstance): void {
  forward(app, {
    kind: 'tags',
    methods: ['GET'],
    prepare: request => {
      const { endpoint, place } = repositoryTarget(request, 'tags')
      return listing(request, place.upstream, 'ListImages', {
        ...askedPage(endpoint),
        name: place.upstreamRepository,
      })
    },
    answer: async (request, reply, answer) => {
      const target = repositoryTarget(request, 'tags')
      const { name } = target.endpoint
      const page = await pageOf(request, answer, {
        target: { ...target, upstream: target.place.upstream },
        action: 'ListImages',
        upstreamEndpoint: { ...target.endpoint, name: target.place.upstreamRepository },
        isEntry: text => parseTag(text) !== undefined,
        read: async (from, signal) => {
          const { share } = exchangeOf(request)
          return (await readListing(TagList, from, target, 'ListImages', { share, gone: signal })).tags ?? []
        },
      })
      sendListing(reply, target.endpoint, { name, tags: page.entries }, page)
    },
  })

  forward(app, {
    kind: 'catalog',
    methods: ['GET'],
    prepare: request => {
      const { upstream, endpoint } = catalogTarget(request)
      return listing(request, upstream, 'DescribeRepositories', askedPage(endpoint))
    },
    answer: async (request, reply, answer) => {
      const target = catalogTarget(request)
      const page = await pageOf(request, answer, {
        target,
        action: 'DescribeRepositories',
        upstreamEndpoint: target.endpoint,
        isEntry: text => parseRepository(text) !== undefined,
        read: async (from, signal) => {
          const { share } = exchangeOf(request)
          const read = { share, gone: signal }
          const { repositories } = await readListing(Catalog, from, target, 'DescribeRepositories', read)
          return visible(request, target, repositories ?? [])
        },
      })
      sendListing(reply, target.endpoint, { repositories: page.entries }, page)
    },
  })
}

type ListedEndpoint = Extract<Endpoint, { kind: 'tags' | 'catalog' }>

/** One listing of an upstream. */
interface Listed {
  readonly target: Target<ListedEndpoint> & { readonly upstream: Upstream }
  readonly action: EcrAction
  /** The endpoint by the upstream's own names. */
  readonly upstreamEndpoint: ListedEndpoint
  /** Whether a text has the form of an entry, which no token of ECR has: those are longer, and base64. */
  readonly isEntry: (text: string) => boolean
  /** The entries of a page, as this client may see them. Throws the upstream's refusal. */
  readonly read: (answer: Answer, signal: AbortSignal) => Promise<readonly string[]>
}

/**
 * The page that was asked for, in order. A registry that knows `last` as the specification has it is believed; where it
 * is refused and may be an entry, that is looked for in all of the list. Throws the upstream's refusal.
 */
async function pageOf(request: FastifyRequest, answer: Answer, listed: Listed): Promise<ListedPage> {
  const { n, last } = listed.target.endpoint
  const exchange = exchangeOf(request)
  const { upstream } = listed.target
  const isUnknownLast = [400, 405].includes(answer.statusCode) && last !== undefined
  const emulatesLast = isUnknownLast && (last === '' || listed.isEntry(last))

  const pageIn = async (from: Answer, signal: AbortSignal): Promise<ListedPage> => ({
    entries: await listed.read(from, signal),
    next: nextQuery(upstream, from),
  })
  const ask = async (query: string, signal: AbortSignal): Promise<ListedPage> => {
    const asked = listing(request, upstream, listed.action, listed.upstreamEndpoint, query)
    return pageIn(await sendTimed(exchange, upstream, { ...asked, signal }), signal)
  }

  if (n === 0 && !isUnknownLast) {
    await listed.read(answer, exchange.gone)
    return { entries: [], next: undefined }
  }
  const isFirst = last === undefined && n !== undefined && n < MAX_PAGE
  if (!emulatesLast && !isFirst) return inOrder(await pageIn(answer, exchange.gone))
  return withinTime(IN_ORDER_WITHIN, exchange.gone, tooLate, async signal => {
    if (emulatesLast) discard(answer.body)
    const first = emulatesLast ? await ask(`?n=${MAX_PAGE}`, signal) : await pageIn(answer, signal)
    if (n === 0) return { entries: [], next: undefined }
    const page = await orderedPage(first, query => ask(query, signal), {
      after: last,
      limit: Math.min(n ?? MAX_PAGE, MAX_PAGE),
      maxPages: emulatesLast ? MAX_PAGES : MAX_PAGES_FIRST,
    })
    if (page) return page
    if (emulatesLast) throw tooMany(upstream)
    return inOrder(await ask(`?n=${n ?? MAX_PAGE}`, signal))
  })
}

/** ECR lists in no order; a page can be put into order, a list of many pages cannot. */
function inOrder({ entries, next }: ListedPage): ListedPage {
  return { entries: [...entries].sort(), next }
}

function tooLate(): OciError {
  return new OciError('UNKNOWN', 'The upstream registry did not list all in time; try again.', {
    status: 504,
    retryAfter: 1,
  })
}

function tooMany({ name }: Upstream): OciError {
  return new OciError(
    'UNSUPPORTED',
    `The upstream "${name}" lists more than ${MAX_PAGES} pages, too many to be searched for what comes after last; ` +
      'list without last, and go on by the Link of each page.',
  )
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
}

function sendListing(
  reply: FastifyReply,
  endpoint: ListedEndpoint,
  body: unknown,
  { next }: ListedPage,
): void {
  void reply
    // The upstream's may be its refusal of a `last` that was looked for in all of the list.
    .code(200)
    .headers(API_VERSION)
    // The next page, under the path that this client asked for.
    .headers(next === undefined ? {} : { link: `<${pathOf(endpoint)}${next}>; rel="next"` })
    .header('content-type', 'application/json')
    .send(Buffer.from(JSON.stringify(body)))
}
