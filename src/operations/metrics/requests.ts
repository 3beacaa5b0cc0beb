import { Histogram } from '@prometheus-io/client'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { knownExchange, type Exchange } from '../../registry/exchange.js'
import { onceOver } from '../../registry/once-over.js'
import { headerText } from '../answered.js'
import { knownMethod } from '../known-method.js'
import type { Metrics } from '../metrics.js'
import { counter, gauge, PREFIX, type Sample } from './read.js'

/** All requests that came out alike. */
interface Tally {
  readonly method: string
  readonly route: string
  readonly code: string
  /** Of what: a manifest, a blob or referrers; undefined with anything that no cache has to do with. */
  readonly type: string | undefined
  /** How it met the cache. */
  readonly result: string
  /** What became of the login; undefined where it did not come to that. */
  readonly login: string | undefined
  count: number
  /** Answers that were not written to their end. */
  cut: number
  /** Bytes of answers' bodies. */
  bytes: number
}

/** In seconds. The long ones are of layers, which take as long as the client's line needs. */
const DURATIONS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
const FIRST_BYTES = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** A client left before there was an answer. There is no such status; proxies write it in their logs. */
const LEFT = 499

/** What there is to count about clients' requests: each is looked at once, when its answer is over. */
export function requestMetrics(app: FastifyInstance, metrics: Metrics, inFlight: () => number): void {
  const tallies = new Map<string, Tally>()
  let pushed = 0
  const durations = new Histogram({
    name: `${PREFIX}http_request_duration_seconds`,
    help: 'From the headers of a request to the end of its answer.',
    labelNames: ['method', 'route'],
    buckets: DURATIONS,
    registers: [metrics],
  })
  const firstBytes = new Histogram({
    name: `${PREFIX}http_first_byte_seconds`,
    help: 'From the headers of a request to those of its answer, where it gives a manifest or a blob.',
    labelNames: ['type', 'result'],
    buckets: FIRST_BYTES,
    registers: [metrics],
  })

  app.addHook('onRequest', (request, reply, done) => {
    const before = request.socket.bytesWritten
    onceOver(request.raw, reply.raw, () => count(request, reply, before))
    done()
  })

  function count(request: FastifyRequest, reply: FastifyReply, before: number): void {
    const exchange = knownExchange(request)
    const method = knownMethod(request.method) ?? 'other'
    const route = exchange?.target?.endpoint.kind ?? 'other'
    const result = headerText(reply, 'x-cache') ?? ''
    const code = reply.raw.headersSent ? reply.statusCode : LEFT
    const login = loginOf(exchange, code) ?? ''
    const key = `${method} ${route} ${code} ${result} ${login}`
    let tally = tallies.get(key)
    if (!tally) {
      const type = result === '' ? undefined : route
      tally = {
        method,
        route,
        code: String(code),
        type,
        result,
        login: login === '' ? undefined : login,
        count: 0,
        cut: 0,
        bytes: 0,
      }
      tallies.set(key, tally)
    }
    tally.count++
    if (!reply.raw.writableFinished) tally.cut++
    if (method === 'GET') tally.bytes += bytesOf(request, reply, before)
    pushed += exchange?.pushed ?? 0
    const seconds = reply.elapsedTime / 1000
    durations.observe({ method, route }, seconds)
    if (tally.type === undefined || method !== 'GET' || code >= 400) return
    const began = exchange?.answeredAfter
    firstBytes.observe({ type: tally.type, result }, began === undefined ? seconds : began / 1000)
  }

  const over = function* (of: (tally: Tally) => Sample | undefined): Iterable<Sample> {
    for (const tally of tallies.values()) {
      const sample = of(tally)
      if (sample) yield sample
    }
  }
  const common = ['method', 'route', 'code']
  counter(metrics, {
    name: 'http_requests_total',
    help: 'Requests of clients that are over. Code 499: the client left before there was an answer.',
    labels: common,
    read: () => over(({ method, route, code, count }) => [{ method, route, code }, count]),
  })
  counter(metrics, {
    name: 'http_answers_cut_total',
    help: 'Answers that were not written to their end: the client left, or what was being sent turned out wrong.',
    labels: ['route'],
    read: () => over(({ route, cut }) => [{ route }, cut]),
  })
  gauge(metrics, {
    name: 'http_requests_in_flight',
    help: 'Requests of clients that are not over.',
    read: inFlight,
  })
  counter(metrics, {
    name: 'cache_requests_total',
    help: 'Answers that give a manifest, a blob or referrers, by how they met the cache.',
    labels: ['type', 'result'],
    read: () =>
      over(({ type, result, count }) => (type === undefined ? undefined : [{ type, result }, count])),
  })
  counter(metrics, {
    name: 'cache_served_bytes_total',
    help: 'Bytes of manifests, blobs and referrers that went to clients, by how they met the cache.',
    labels: ['type', 'result'],
    read: () =>
      over(({ type, result, bytes }) => (type === undefined ? undefined : [{ type, result }, bytes])),
  })
  counter(metrics, {
    name: 'pushed_bytes_total',
    help: 'Bytes of manifests and blobs that clients pushed and the upstream took.',
    read: () => pushed,
  })
  counter(metrics, {
    name: 'auth_attempts_total',
    help: 'Requests by what became of their login.',
    labels: ['result'],
    read: () => [
      ...LOGINS.map(result => [{ result }, 0] as const),
      ...over(({ login, count }) => (login === undefined ? undefined : [{ result: login }, count])),
    ],
  })
}

/** `bad`: wrong; `held` and `again`: not looked at, for too many refusals or too much to do; `missing`: none was sent. */
const LOGINS = ['good', 'bad', 'held', 'again', 'missing', 'anonymous', 'certificate', 'operator'] as const

function loginOf(exchange: Exchange | undefined, code: number): (typeof LOGINS)[number] | undefined {
  if (exchange?.login) return exchange.login
  const kind = exchange?.principal?.kind
  if (kind === undefined) return code === 401 ? 'missing' : undefined
  return kind === 'user' ? 'good' : kind
}

/** Of a body: what was announced, if all of it went out, else what went out at all, headers included. */
function bytesOf(request: FastifyRequest, reply: FastifyReply, before: number): number {
  const length = Number(headerText(reply, 'content-length') ?? 0)
  if (reply.raw.writableFinished) return length
  return Math.min(length, Math.max(0, request.socket.bytesWritten - before))
}
