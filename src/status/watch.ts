import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { referenceText } from '../oci/reference.js'
import { headerText } from '../operations/answered.js'
import { knownExchange } from '../registry/exchange.js'
import { onceOver } from '../registry/once-over.js'
import type { Target } from '../registry/target.js'
import type { Minutes, Traffic } from './minutes.js'
import type { Origins } from './origins.js'
import type { NamedPlace } from './place.js'
import type { RecentErrors } from './recent-errors.js'
import type { Wanted } from './wanted.js'

/** What is kept of the requests that come by. */
export interface Observations {
  readonly minutes: Minutes
  readonly wanted: Wanted
  readonly errors: RecentErrors
  readonly origins: Origins
  readonly now: () => number
}

/** Takes note of every request: of where its blob comes from as it begins, and of what became of it as it ends. */
export function watch(app: FastifyInstance, observations: Observations): void {
  app.addHook('onRequest', (request, reply, done) => {
    onceOver(request.raw, reply.raw, () => note(request, reply, observations))
    done()
  })
  app.addHook('preHandler', (request, _reply, done) => {
    const { place, endpoint } = knownExchange(request)?.target ?? {}
    if (place && endpoint?.kind === 'blob' && request.method === 'GET')
      observations.origins.note(endpoint.digest, namedPlace(place))
    done()
  })
}

function note(request: FastifyRequest, reply: FastifyReply, observations: Observations): void {
  const { minutes, wanted, errors, now } = observations
  const exchange = knownExchange(request)
  const target = exchange?.target
  const failed = reply.statusCode >= 500
  minutes.add({ requests: 1, errors: failed ? 1 : 0, ...pulledBy(request, reply) })
  const place = target?.place && namedPlace(target.place)
  if (place && target.endpoint.kind === 'manifest' && isRead(request) && reply.statusCode < 400)
    wanted.add(place, referenceText(target.endpoint.reference), now())
  if (failed)
    errors.add(
      {
        what: `${request.method} ${target?.endpoint.kind ?? 'request'}, ${reply.statusCode}`,
        text: exchange?.problem,
        upstream: target?.upstream?.name,
        places: place && [place],
        user: exchange?.principal?.name,
      },
      now(),
    )
}

/** What an answer to a pull adds to the numbers, by what clients are told as X-Cache; nothing for other answers. */
function pulledBy(request: FastifyRequest, reply: FastifyReply): Partial<Traffic> {
  const result = headerText(reply, 'x-cache')
  if (request.method !== 'GET' || result === undefined || reply.statusCode >= 400) return {}
  // Of an answer that broke off nobody knows how much arrived; so less is claimed rather than more.
  const served = reply.raw.writableFinished ? Number(headerText(reply, 'content-length') ?? 0) : 0
  if (result !== 'miss' && result !== 'bypass') return { hits: 1, served }
  // What a missed blob brings in is told by its download, which many may share.
  const isDownload = result === 'miss' && knownExchange(request)?.target?.endpoint.kind === 'blob'
  return { misses: 1, served, fetched: isDownload ? 0 : served }
}

function isRead({ method }: FastifyRequest): boolean {
  return method === 'GET' || method === 'HEAD'
}

function namedPlace({ upstream, repository }: NonNullable<Target['place']>): NamedPlace {
  return { upstream: upstream.name, repository }
}
