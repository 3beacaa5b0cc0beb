import type { FastifyReply, FastifyRequest } from 'fastify'
import { referenceText } from '../oci/reference.js'
import { knownExchange, type Exchange } from '../registry/exchange.js'
import { headerText } from './answered.js'

export type AuditEvent = 'pull' | 'push' | 'delete'

/** What one line of the audit log says, by field; what is undefined is left out. */
export type AuditFields = Readonly<Record<string, string | number | boolean | undefined>>

/** As long as a text in a line may be; digests, names and tags are shorter by their grammar. */
const LONGEST_TEXT = 512

/**
 * A line, with its end: JSON in ASCII, so that neither a reader of lines nor a terminal takes a client's text for
 * anything else.
 */
export function lineOf(fields: AuditFields): string {
  const text = JSON.stringify(fields, (_key, value: unknown) =>
    typeof value === 'string' ? value.slice(0, LONGEST_TEXT) : value,
  )
  const ascii = text.replace(
    /[\u007f-\uffff]/g,
    each => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return `${ascii}\n`
}

/** What a request did to content, or was to do; undefined when it is none of what is kept account of. */
export function eventOf(request: FastifyRequest, reply: FastifyReply): AuditEvent | undefined {
  const exchange = knownExchange(request)
  if (exchange?.principal === undefined) return undefined
  const { method } = request
  const failed = reply.statusCode >= 400
  switch (exchange.target?.endpoint.kind) {
    case 'manifest':
    case 'blob':
      if (method === 'GET') return 'pull'
      if (method === 'PUT') return 'push'
      return method === 'DELETE' ? 'delete' : undefined
    // What is taken with this very request, or never will be.
    case 'uploads':
      return failed || reply.statusCode === 201 ? 'push' : undefined
    case 'upload':
      return method === 'PUT' || (method === 'PATCH' && failed) ? 'push' : undefined
    default:
      return undefined
  }
}

/** What there is to say about a request that came to an end. */
export function fieldsOf(event: AuditEvent, request: FastifyRequest, reply: FastifyReply): AuditFields {
  const exchange = knownExchange(request)
  const { endpoint, place } = exchange?.target ?? {}
  const reference =
    endpoint && 'reference' in endpoint
      ? referenceText(endpoint.reference)
      : endpoint && 'digest' in endpoint
        ? endpoint.digest
        : undefined
  const mounted = endpoint?.kind === 'uploads' && reply.statusCode === 201 && endpoint.mount
  return {
    event,
    user: exchange?.principal && nameOf(exchange.principal),
    address: exchange?.address ?? request.socket.remoteAddress,
    upstream: place?.upstream.name,
    registry: place?.upstream.ecr.host,
    repository: place?.repository,
    reference: mounted ? mounted : reference,
    digest: headerText(reply, 'docker-content-digest'),
    ...(mounted && endpoint.from !== undefined && exchange?.pushed === 0 && { mountedFrom: endpoint.from }),
    bytes: bytesOf(event, exchange, reply),
    from: event === 'pull' ? sourceOf(headerText(reply, 'x-cache')) : undefined,
    status: reply.statusCode,
    complete: reply.raw.writableFinished,
    requestId: request.id,
    upstreamRequestId: exchange?.upstream?.requestId,
  }
}

function nameOf({ kind, name }: NonNullable<Exchange['principal']>): string {
  return kind === 'certificate' ? `cert:${name}` : name
}

function bytesOf(event: AuditEvent, exchange: Exchange | undefined, reply: FastifyReply): number | undefined {
  if (event === 'push') return exchange?.pushed
  return event === 'pull' && reply.statusCode < 300 ? Number(headerText(reply, 'content-length')) : undefined
}

/** By what clients are told as X-Cache. */
function sourceOf(result: string | undefined): 'cache' | 'upstream' | undefined {
  if (result === undefined) return undefined
  return result === 'hit' || result === 'stale' ? 'cache' : 'upstream'
}
