import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { EndpointKind } from '../oci/endpoint.js'
import { OciError } from '../oci/error.js'
import { ClientGone } from './client-gone.js'
import { drain } from './drain.js'
import { knownExchange } from './exchange.js'
import { parsedRequest } from './parsed-request.js'

/**
 * Every reply under `/v2/` says which protocol this is (Docker Registry HTTP API V2; clients look for it), and that a
 * browser is not to look for a page in it (WHATWG Fetch, "X-Content-Type-Options").
 */
export const API_VERSION = {
  'docker-distribution-api-version': 'registry/2.0',
  'x-content-type-options': 'nosniff',
} as const

/** The answer to anything that was thrown. What is not an OciError is a defect of ours and says nothing outside. */
export function toAnswer(error: unknown): OciError {
  if (error instanceof OciError) return error
  const { code } = error instanceof Error && 'code' in error ? error : { code: undefined }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new OciError('MANIFEST_INVALID', 'A manifest may have at most 4 MiB.', { status: 413 })
  }
  if (code === 'FST_ERR_CTP_INVALID_CONTENT_LENGTH') {
    return new OciError('SIZE_INVALID', 'The body is not as long as Content-Length says.')
  }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' || isUnreadableType(error)) {
    return new OciError('UNSUPPORTED', 'The Content-Type is no media type.', { status: 415 })
  }
  return new OciError(
    'UNKNOWN',
    'ecr-mirror failed on this request; its log says why under the request id.',
    {
      cause: error,
    },
  )
}

/** The proxy plugin reads the Content-Type anew, more strictly than the framework, and has no code for what it finds. */
const isUnreadableType = (error: unknown): boolean =>
  error instanceof TypeError && /^invalid (?:media type|parameter format)$/.test(error.message)

/** Whether the client left, before all of its request was here or later. */
function hasLeft(request: FastifyRequest): boolean {
  const { raw } = request
  return knownExchange(request)?.gone.aborted === true || (raw.socket.destroyed && !raw.complete)
}

/** Writes an error as an answer: the only place that does. */
function write(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  // Whatever broke off when the client left is no failure.
  if (error instanceof ClientGone || hasLeft(request)) {
    reply.hijack()
    reply.raw.destroy()
    return
  }
  const answer = toAnswer(error)
  if (!(error instanceof OciError)) {
    if (answer.status === 500) request.log.error({ err: error }, 'request failed')
  } else if (error.cause !== undefined)
    request.log.warn({ reason: error.message, cause: error.cause }, 'request refused')
  const exchange = knownExchange(request)
  if (exchange) exchange.problem = answer.message
  drain(request.raw, reply.raw)
  // Fastify would close where it did not read to the end; what is left is read by drain().
  if (reply.hasHeader('connection')) reply.removeHeader('connection')
  void reply
    .code(answer.status)
    .headers(API_VERSION)
    .headers(answer.headers)
    .headers(answer.status === 404 ? whoWasAsked(request) : {})
    .headers(answer.retryAfter === undefined ? {} : { 'retry-after': String(answer.retryAfter) })
    .header('content-type', 'application/json')
    .send(Buffer.from(answer.toBody()))
}

/**
 * Of what is missing at an upstream that the first path segment named: whose it would have been, since its own words, to
 * be passed on as they are, do not tell (distribution-spec, "Warnings"). A HEAD is silent: a push begins with many that
 * are answered 404, and clients print each warning.
 */
function whoWasAsked(request: FastifyRequest): Record<string, string> {
  const target = knownExchange(request)?.target
  if (!target?.upstream || request.method === 'HEAD') return {}
  const { segment, upstream, endpoint } = target
  if (segment !== upstream.name || !NAMED_IN_WARNING.includes(endpoint.kind)) return {}
  const text = `the name begins with ${segment}, so the upstream ${upstream.name} was asked, and no other registry`
  return { warning: `299 - "ecr-mirror: ${text}"` }
}

const NAMED_IN_WARNING: readonly EndpointKind[] = ['manifest', 'tags', 'uploads']

/** Makes errors answers: of handlers and hooks, of the router, and of paths that are no endpoint. */
export function errors(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => write(error, request, reply))
  app.setNotFoundHandler((request, reply) => {
    const parsed = parsedRequest(request.raw)
    write(
      parsed instanceof OciError ? parsed : new OciError('UNSUPPORTED', 'There is no such endpoint.'),
      request,
      reply,
    )
  })
}

/** What Node's parser refuses, by the codes of its errors; everything else is 400. */
const PARSER_STATUS = new Map([
  ['HPE_HEADER_OVERFLOW', 431],
  ['ERR_HTTP_REQUEST_TIMEOUT', 408],
  ['TUNNEL_REFUSED', 405],
])

/** Answers what Node's HTTP parser refused, before there was a request. */
export function answerParserError(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const status = PARSER_STATUS.get(error.code ?? '') ?? 400
  const body = new OciError(
    'UNSUPPORTED',
    status === 405
      ? 'The mirror opens no tunnels.'
      : 'The request is not well-formed HTTP/1.1, is too large or came too slowly.',
  ).toBody()
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n` +
      'Docker-Distribution-Api-Version: registry/2.0\r\nX-Content-Type-Options: nosniff\r\n' +
      'Content-Type: application/json\r\n' +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
