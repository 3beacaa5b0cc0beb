import type { FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { parseBounded } from '../oci/bounded-json.js'
import { pathOf, queryOf, type Endpoint, type Paging } from '../oci/endpoint.js'
import { OciError } from '../oci/error.js'
import { refusalOf } from '../upstream/dialect.js'
import type { EcrAction } from '../upstream/ecr-action.js'
import { outboundHeaders } from '../upstream/headers.js'
import { ownPath } from '../upstream/location.js'
import type { Answer } from '../upstream/send.js'
import type { Upstream } from '../upstream/upstream.js'
import type { Exchange } from './exchange.js'
import type { Forwarding } from './forward.js'
import { PATIENCE } from './patience.js'
import { readAnswer } from './read-answer.js'
import type { Target } from './target.js'

/** The largest listing that is taken from an upstream, in bytes. */
const MAX_LISTING = 8 * 1024 * 1024

/** The most entries of a listing, by what stands in the JSON: names take little, and descriptors some fields each. */
const MAX_LISTED = { maxKeys: 100_000, maxValues: 500_000 }

/** ECR refuses to list more at once (`maxResults` of ListImages); the specification lets a registry give fewer. */
export const MAX_PAGE = 1000

/** What to ask an upstream for a listing; `query` begins with its mark. */
export function listing(
  request: FastifyRequest,
  upstream: Upstream,
  action: EcrAction,
  endpoint: Endpoint,
  query = queryIn(endpoint),
): Forwarding {
  return {
    upstream,
    action,
    method: 'GET',
    path: pathOf(endpoint) + query,
    headers: outboundHeaders(request.headers, ['accept']),
    patience: PATIENCE.read,
  }
}

function queryIn(endpoint: Endpoint): string {
  const query = queryOf(endpoint)
  return query && `?${query}`
}

/**
 * The page to ask ECR for, which has at most a thousand entries and at least one. The first entries in order can only be
 * told from as many as there are.
 */
export function askedPage<E extends Paging>(endpoint: E): E {
  const { n, last } = endpoint
  if (n === undefined) return endpoint
  if (n === 0) return { ...endpoint, n: 1 }
  return { ...endpoint, n: last === undefined ? MAX_PAGE : Math.min(n, MAX_PAGE) }
}

/** The JSON of a listing. Throws the upstream's refusal, or 502 for what is no such listing. */
export async function readListing<T>(
  schema: z.ZodType<T>,
  answer: Answer,
  { upstream, place }: Target,
  action: EcrAction,
  { share, gone }: Pick<Exchange, 'share' | 'gone'>,
): Promise<T> {
  const name = upstream?.name ?? ''
  if (answer.statusCode !== 200)
    throw await refusalOf(answer, { action, upstream: name, repository: place?.upstreamRepository })
  const bytes = await readAnswer(answer, { limit: MAX_LISTING, upstream: name, share, signal: gone })
  try {
    if (bytes) return schema.parse(parseBounded(bytes, MAX_LISTED))
  } catch {
    // It is told as all else that is no listing.
  }
  throw new OciError('UNKNOWN', `The upstream "${name}" sent a listing that is not one.`, { status: 502 })
}

/** The query of the upstream's next page, from its mark on (RFC 8288; ECR's Link is absolute). */
export function nextQuery(upstream: Upstream, answer: Answer): string | undefined {
  const links = [answer.headers.link ?? []].flat().join(',')
  const next = /<([^<>]{1,8192})>\s*;\s*rel="?next"?/i.exec(links)
  const own = ownPath(next?.[1], upstream.settings)
  const mark = own?.indexOf('?') ?? -1
  return mark < 0 ? undefined : own?.slice(mark)
}
