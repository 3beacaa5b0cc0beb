import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import {
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Span,
} from '@opentelemetry/api'
import { ROUTES } from '../oci/endpoint.js'
import { knownExchange } from '../registry/exchange.js'
import { onceOver } from '../registry/once-over.js'
import type { UpstreamObserver } from '../upstream/observer.js'
import { headerText } from './answered.js'
import { knownMethod } from './known-method.js'

/** Spans of OpenTelemetry, given to whatever SDK was loaded before the mirror; without one they go nowhere. */
export interface Traces {
  /** A span for every request of a client. */
  requests(app: FastifyInstance): void
  /** The observer, with a span for every request to the upstream that a client's request leads to. */
  upstream(name: string, observer: UpstreamObserver): UpstreamObserver
}

/**
 * Makes traces. A client's request goes on with the trace of its `traceparent` only when it comes from a trusted proxy
 * (`isTrusted` tells of the peer's address): anybody else's would let strangers have every request of theirs recorded, or
 * put spans into traces of others. Nothing of a trace is sent upstream: a registry has no use for it, and a signed
 * request is not to be added to.
 */
export function createTraces(isTrusted: (address: string) => boolean, version: string): Traces {
  const tracer = trace.getTracer('ecr-mirror', version)

  function end(span: Span, request: FastifyRequest, reply: FastifyReply): void {
    const kind = knownExchange(request)?.target?.endpoint.kind
    const method = methodOf(request)
    span.updateName(kind === undefined ? method : `${method} ${ROUTES[kind]}`)
    span.setAttributes(attributesOf(request, reply))
    if (reply.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
    else if (!reply.raw.writableFinished) span.setStatus({ code: SpanStatusCode.ERROR, message: 'cut' })
    span.end()
  }

  return {
    requests(app) {
      app.addHook('onRequest', (request, reply, done) => {
        const parent = isTrusted(request.socket.remoteAddress ?? '')
          ? propagation.extract(ROOT_CONTEXT, request.headers)
          : ROOT_CONTEXT
        const span = tracer.startSpan(methodOf(request), { kind: SpanKind.SERVER }, parent)
        onceOver(request.raw, reply.raw, () => end(span, request, reply))
        // What comes of the request knows whose it is.
        context.with(trace.setSpan(parent, span), () => done())
      })
    },
    upstream: (name, observer) => ({
      ...observer,
      began(operation) {
        const ended = observer.began(operation)
        if (!trace.getActiveSpan()) return ended
        const span = tracer.startSpan(operation, {
          kind: SpanKind.CLIENT,
          attributes: { 'ecr_mirror.upstream': name },
        })
        return outcome => {
          ended(outcome)
          if (typeof outcome === 'number') span.setAttribute('http.response.status_code', outcome)
          else span.setAttribute('error.type', outcome)
          if (typeof outcome !== 'number' || outcome >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
          span.end()
        }
      },
    }),
  }
}

/** As the conventions have it: what is no method of the API is not repeated. */
function methodOf({ method }: FastifyRequest): string {
  return knownMethod(method) ?? '_OTHER'
}

/** OpenTelemetry, "Semantic conventions for HTTP spans"; the request id leads to the line in the log. */
function attributesOf(request: FastifyRequest, reply: FastifyReply): Attributes {
  const target = knownExchange(request)?.target
  const sent = reply.raw.headersSent
  const cache = headerText(reply, 'x-cache')
  return {
    'http.request.method': methodOf(request),
    ...(target && { 'http.route': ROUTES[target.endpoint.kind] }),
    ...(sent && { 'http.response.status_code': reply.statusCode }),
    'ecr_mirror.request_id': request.id,
    ...(target?.upstream && { 'ecr_mirror.upstream': target.upstream.name }),
    ...(target?.place && { 'ecr_mirror.repository': target.place.repository }),
    ...(cache !== undefined && { 'ecr_mirror.cache': cache }),
  }
}
