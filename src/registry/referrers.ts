import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { pathOf, queryOf, ROUTES } from '../oci/endpoint.js'
import type { ReferrersAnswer, ReferrersQuestion } from '../store/referrers-cache.js'
import { passedOn } from '../upstream/headers.js'
import { saysNo } from '../upstream/verdict.js'
import type { Cache } from './cache.js'
import { clientKey } from './client-key.js'
import { API_VERSION } from './errors.js'
import { exchangeOf, repositoryTarget } from './exchange.js'
import { inTime } from './in-time.js'
import { listing, nextQuery, readListing } from './listing.js'
import { wantsRevalidation } from './revalidation.js'
import { sendTimed } from './send-timed.js'
import { askOrFallBack, STALE_WARNING } from './stale.js'
import { withWarning } from './warning.js'

const INDEX = 'application/vnd.oci.image.index.v1+json'

const ReferrersIndex = z.looseObject({ manifests: z.array(z.unknown()) })

interface Found {
  readonly answer: ReferrersAnswer
  readonly result: 'hit' | 'miss' | 'stale' | 'bypass'
}

/** What refers to a manifest: signatures, attestations and the like. Kept as briefly as what tags stand for. */
export function referrers(app: FastifyInstance, { cache }: { readonly cache: Cache | undefined }): void {
  app.get(ROUTES.referrers, async (request, reply) => {
    const found = await inTime<Found>(request, async signal =>
      cache
        ? findReferrers(request, cache, signal)
        : { answer: await askForReferrers(request, signal), result: 'bypass' },
    )
    return sendReferrers(request, reply, found)
  })
}

async function findReferrers(request: FastifyRequest, cache: Cache, signal: AbortSignal): Promise<Found> {
  const { endpoint, place } = repositoryTarget(request, 'referrers')
  const scope = cache.scope(request)
  const question: ReferrersQuestion = { scope, subject: endpoint.digest, query: queryOf(endpoint) }
  const known = wantsRevalidation(request) ? undefined : cache.referrers.lookup(question)
  if (known?.proof === 'fresh') return { answer: known, result: 'hit' }
  const mark = cache.referrers.mark(scope)
  return askOrFallBack<Found>(
    place.upstream,
    signal,
    async asker => {
      try {
        const answer = await cache.questions.run(clientKey(exchangeOf(request)), asker, () =>
          askForReferrers(request, asker),
        )
        cache.referrers.record(question, mark, answer)
        return { answer, result: 'miss' }
      } catch (error) {
        if (saysNo(error)) cache.referrers.forget(question)
        throw error
      }
    },
    known && known.proof !== 'none' ? async () => stale(cache.referrers.lookup(question)) : undefined,
  )
}

/** What is still known, when it comes to that: somebody may have pushed or been told no meanwhile. */
function stale(known: ReturnType<Cache['referrers']['lookup']>): Found | undefined {
  return known && known.proof !== 'none' ? { answer: known, result: 'stale' } : undefined
}

/** Throws the upstream's refusal. */
async function askForReferrers(request: FastifyRequest, signal: AbortSignal): Promise<ReferrersAnswer> {
  const target = repositoryTarget(request, 'referrers')
  const { endpoint, place } = target
  const asked = listing(request, place.upstream, 'ListImageReferrers', {
    ...endpoint,
    name: place.upstreamRepository,
  })
  // One list is kept for all who ask, so it is the answer to one question, whatever media types each of them takes.
  const headers = { ...asked.headers, accept: INDEX }
  const answer = await sendTimed(exchangeOf(request), place.upstream, { ...asked, headers, signal })
  const { share } = exchangeOf(request)
  const index = await readListing(ReferrersIndex, answer, target, 'ListImageReferrers', {
    share,
    gone: signal,
  })
  return {
    body: Buffer.from(JSON.stringify(index)),
    headers: passedOn(answer.headers),
    next: nextQuery(place.upstream, answer),
  }
}

function sendReferrers(
  request: FastifyRequest,
  reply: FastifyReply,
  { answer, result }: Found,
): FastifyReply {
  const { endpoint } = repositoryTarget(request, 'referrers')
  return reply
    .headers(API_VERSION)
    .headers(
      withWarning(
        { ...answer.headers, ...(result === 'stale' && STALE_WARNING) },
        { warning: answer.headers.warning },
      ),
    )
    .headers(answer.next === undefined ? {} : { link: `<${pathOf(endpoint)}${answer.next}>; rel="next"` })
    .header('content-type', INDEX)
    .header('x-cache', result)
    .send(answer.body)
}
