import type { FastifyInstance } from 'fastify'
import { OciError } from '../oci/error.js'
import { INSTANCE } from '../version.js'

/** What the gate looks at: a request as Node's HTTP parser let it through. */
export interface RawRequest {
  readonly method?: string | undefined
  readonly httpVersion: string
  /** Names and values in turn, as sent but for the white space around values. */
  readonly rawHeaders: readonly string[]
}

/** A request may have this many header fields. */
const MAX_HEADERS = 100

const CONTINUE = '100-continue'

/** Fields that mean two different things to two readers when they come twice (RFC 9110, section 5.3). */
const SINGLE = new Set([
  'host',
  'authorization',
  'content-length',
  'content-range',
  'content-type',
  'expect',
  'if-range',
  'range',
  'transfer-encoding',
])

/**
 * Fields that decide what a request means or who sends it, besides all of content. Named by Connection, they are for the
 * next hop alone, which would have them read by one of two readers and not by the other (RFC 9110, section 7.6.1: a
 * sender must not name a field that is meant for all recipients).
 */
const FOR_ALL_RECIPIENTS = new Set([
  'accept',
  'authorization',
  'cache-control',
  'expect',
  'host',
  'if-range',
  'range',
  'traceparent',
  'transfer-encoding',
  'via',
  'x-forwarded-for',
])

/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/**
 * Refuses what Node's parser accepts and another reader may read differently: the ground that request smuggling
 * grows on (RFC 9112, sections 3.2, 6 and 11.2). Undefined when there is nothing to refuse.
 */
export function refusalOf(request: RawRequest): OciError | undefined {
  const { rawHeaders, httpVersion } = request
  if (httpVersion !== '1.1' && httpVersion !== '1.0')
    return badRequest('The only versions of HTTP that are understood are 1.1 and 1.0.', 505)
  if (rawHeaders.length / 2 > MAX_HEADERS)
    return badRequest(`A request may have at most ${MAX_HEADERS} headers.`, 431)

  const single = new Map<string, string>()
  let name = ''
  for (const [index, value] of rawHeaders.entries()) {
    if (index % 2 === 0) {
      name = value.toLowerCase()
      continue
    }
    if (name === 'connection' && !hasOnlyHopByHop(value)) {
      return badRequest(
        'The Connection header names a field that is meant for all recipients, or is malformed.',
      )
    }
    if (name === 'via' && value.includes(INSTANCE)) {
      return badRequest('This request is one of the mirror itself: an upstream leads back to it.', 508)
    }
    if (!SINGLE.has(name)) continue
    if (single.has(name)) return badRequest(`The request has more than one ${name} header.`)
    single.set(name, value)
  }
  if (!single.has('host')) return badRequest('The request has no Host header.')
  if ((single.get('expect') ?? CONTINUE).toLowerCase() !== CONTINUE)
    return badRequest('The only expectation that is met is 100-continue.', 417)
  return refusalOfFraming(request, single.get('transfer-encoding'), single.get('content-length'))
}

/**
 * Whether a Connection header asks for nothing but what is between two hops: to close, to keep alive, or to have fields
 * dropped that are never passed on anyway (TE, Keep-Alive, HTTP2-Settings). A server that does not want another
 * protocol goes on as if Upgrade were not there (RFC 9110, section 7.8). What of the fields goes upstream is listed in
 * `outboundHeaders`.
 */
function hasOnlyHopByHop(connection: string): boolean {
  return connection.split(',').every(element => {
    const option = element.replace(/^[ \t]+|[ \t]+$/g, '').toLowerCase()
    if (option === '') return true
    return TOKEN.test(option) && !option.startsWith('content-') && !FOR_ALL_RECIPIENTS.has(option)
  })
}

function refusalOfFraming(
  { method, httpVersion }: RawRequest,
  transferEncoding: string | undefined,
  contentLength: string | undefined,
): OciError | undefined {
  if (transferEncoding !== undefined) {
    if (transferEncoding.toLowerCase() !== 'chunked') {
      return badRequest('The only transfer coding that is understood is chunked.', 501)
    }
    if (httpVersion !== '1.1') return badRequest('A transfer coding needs HTTP/1.1.')
  }
  const hasBody =
    transferEncoding !== undefined || (contentLength !== undefined && Number(contentLength) !== 0)
  if (hasBody && (method === 'GET' || method === 'HEAD'))
    return badRequest(`A ${method} may not have a body.`)
  return undefined
}

function badRequest(message: string, status = 400): OciError {
  // What follows on this connection cannot be trusted to be a request.
  return new OciError('UNSUPPORTED', message, { status, headers: { connection: 'close' } })
}

/** The first hook: nothing else looks at a request that the gate refuses. */
export function gate(app: FastifyInstance): void {
  app.addHook('onRequest', (request, _reply, done) => done(refusalOf(request.raw)))
}
