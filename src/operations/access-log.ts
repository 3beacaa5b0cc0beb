import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { knownExchange } from '../registry/exchange.js'
import { onceOver } from '../registry/once-over.js'
import { referenceText } from '../oci/reference.js'
import { headerText } from './answered.js'
import type { Endpoint } from '../oci/endpoint.js'

/** One line for every request, when its answer has ended: who, what, with which result. */
export function accessLog(app: FastifyInstance): void {
  // What the line says is listed below, so nobody need look through it for what may not be seen.
  const log = app.log.child({}, { redact: [] })
  app.addHook('onRequest', (request, reply, done) => {
    onceOver(request.raw, reply.raw, () => line(log, request, reply))
    done()
  })
}

function line(log: FastifyBaseLogger, request: FastifyRequest, reply: FastifyReply): void {
  const exchange = knownExchange(request)
  const target = exchange?.target
  log.info(
    {
      requestId: request.id,
      user: exchange?.principal?.name,
      address: exchange?.address ?? request.socket.remoteAddress,
      method: request.method,
      // A path that is not of the API is a stranger's text, which the log does not repeat.
      endpoint: target?.endpoint.kind,
      upstream: target?.upstream?.name,
      repository: target?.place?.repository,
      reference: target && referenceOf(target.endpoint),
      status: reply.statusCode,
      complete: reply.raw.writableFinished,
      bytes: Number(headerText(reply, 'content-length') ?? 0),
      ms: Math.round(reply.elapsedTime * 10) / 10,
      upstreamMs: exchange?.upstream && Math.round(exchange.upstream.ms * 10) / 10,
      upstreamStatus: exchange?.upstream?.status,
      awsRequestId: exchange?.upstream?.requestId,
    },
    'request',
  )
}

function referenceOf(endpoint: Endpoint): string | undefined {
  if ('reference' in endpoint) return referenceText(endpoint.reference)
  return 'digest' in endpoint ? endpoint.digest : undefined
}
