import { AsyncLocalStorage } from 'node:async_hooks'
import { Readable } from 'node:stream'
import type { IncomingHttpHeaders } from 'node:http'
import httpProxy from '@fastify/http-proxy'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ROUTES, type EndpointKind } from '../oci/endpoint.js'
import { discard } from '../upstream/discard.js'
import type { Upstream } from '../upstream/upstream.js'
import type { Answer, OutboundRequest } from '../upstream/send.js'
import { answerDeadline } from './answer-deadline.js'
import type { Outcome } from './confirm.js'
import { withinTime } from './deadline.js'
import { exchangeOf } from './exchange.js'
import { upstreamTooSlow } from './in-time.js'
import { onceOver } from './once-over.js'
import { sendTimed } from './send-timed.js'
import { UploadBody } from './upload-body.js'

/** What is asked of an upstream for a client's request. */
export interface Forwarding extends Omit<OutboundRequest, 'signal'> {
  readonly upstream: Upstream
}

/** A route whose requests go upstream, body and all, by way of @fastify/http-proxy. */
export interface ForwardedRoute {
  readonly kind: EndpointKind
  readonly methods: readonly string[]
  /** Runs first: what to ask, or the answer where that is known. Throws what refuses the request. */
  readonly prepare: (request: FastifyRequest) => Forwarding | Promise<Forwarding | Answer>
  /** What can be mended before the answer counts: gives the answer, or undefined to have the request sent again, once. */
  readonly mend?: (
    request: FastifyRequest,
    answer: Answer,
    body: OutboundRequest['body'],
    signal: AbortSignal,
  ) => Promise<Answer | undefined>
  /**
   * Runs when the request was not answered with success: gives the answer that there should have been, when what was
   * asked for has come about all the same. What it throws is no answer.
   */
  readonly confirm?: (
    request: FastifyRequest,
    outcome: Outcome,
    signal: AbortSignal,
  ) => Promise<Answer | undefined>
  /** Learns that no answer came. */
  readonly failed?: (request: FastifyRequest, error: unknown) => void
  /** Turns the upstream's answer, whatever its status, into the client's; reads or destroys its body. */
  readonly answer: (request: FastifyRequest, reply: FastifyReply, answer: Answer) => Promise<void>
}

/**
 * Forwards a route. The proxy plugin routes, keeps the client's request and the upstream's answer together and hands
 * over failures; where a request goes, what it carries and what of the answer comes back is decided here, so that the
 * plugin's own ways (copied headers, retries, redirects, relayed error texts) never come into play.
 */
export function forward(
  app: FastifyInstance,
  { kind, methods, prepare, mend, confirm, failed, answer }: ForwardedRoute,
): void {
  const current = new AsyncLocalStorage<Context>()

  app.register(httpProxy, {
    upstream: '',
    routes: [ROUTES[kind]],
    httpMethods: [...methods],
    // Any object with request() will do as a dispatcher: ours knows tokens, retries, quotas and the client's leaving.
    undici: { request: dispatch } as never,
    proxyPayloads: false,
    disableCache: true,
    disableRequestLogging: true,
    internalRewriteLocationHeader: false,
    retryMethods: [],
    handler: async (request, reply, _destination, options) => {
      const forwarding = await prepare(request)
      if ('statusCode' in forwarding) {
        await answer(request, reply, forwarding)
        return reply
      }
      const { body } = forwarding
      const deadline = answerDeadline(request, body instanceof UploadBody ? body : undefined)
      onceOver(request.raw, reply.raw, () => deadline.end())
      const { signal } = deadline
      current.run({ request, reply, forwarding, signal }, () => reply.from(ROUTES.base, options))
      return reply
    },
    replyOptions: {
      // Where a request really goes is the dispatcher's to know; nothing is ever resolved from this.
      getUpstream: () => 'http://upstream.invalid',
      queryString: () => '',
      rewriteRequestHeaders: () => ({}),
      rewriteHeaders: () => ({}),
      retryDelay: () => null,
      onResponse: (_request, _reply, response) => respond(context(), response),
      onError: (reply, { error }) => void reply.send(error.cause ?? error),
    },
  })

  /** What is being forwarded; known wherever the plugin calls back, since all of that descends from `handler`. */
  function context(): Context {
    const found = current.getStore()
    if (!found) throw new Error('The proxy plugin called back outside of a request.')
    return found
  }

  /** What the plugin calls in place of undici's request(). */
  function dispatch(_options: unknown, done: (error: unknown, answer?: Answer) => void): void {
    const { request, forwarding, signal } = context()
    send(request, forwarding, signal)
      .then(
        received => done(null, received),
        (error: unknown) => {
          failed?.(request, error)
          // The rest of the client's body is the error writer's to read.
          if (forwarding.body instanceof Readable) forwarding.body.destroy()
          done(error)
        },
      )
      .catch((error: unknown) => {
        request.log.error({ err: error }, 'forwarding failed')
        request.raw.destroy()
      })
  }

  async function send(request: FastifyRequest, forwarding: Forwarding, signal: AbortSignal): Promise<Answer> {
    const outcome = await settle(ask(request, { ...forwarding, signal }))
    if ('answer' in outcome && outcome.answer.statusCode < 300) return outcome.answer
    const confirmed = confirm && !signal.aborted && (await confirmInTime(request, outcome, confirm, signal))
    if (confirmed) {
      if ('answer' in outcome) discard(outcome.answer.body)
      request.log.info({ upstream: forwarding.upstream.name }, 'carried out, though the answer was another')
      return confirmed
    }
    if ('error' in outcome) throw outcome.error
    return outcome.answer
  }

  async function ask(
    request: FastifyRequest,
    outbound: Forwarding & Pick<OutboundRequest, 'signal'>,
  ): Promise<Answer> {
    const exchange = exchangeOf(request)
    const first = await sendTimed(exchange, outbound.upstream, outbound)
    const mended = mend ? await mend(request, first, outbound.body, outbound.signal) : first
    return mended ?? (await sendTimed(exchange, outbound.upstream, outbound))
  }

  function respond({ request, reply }: Context, received: unknown): void {
    const { statusCode, headers, stream } = received as Received
    // The plugin asks to close when the body was not read to its end; the error writer drains it instead.
    if (reply.hasHeader('connection')) reply.removeHeader('connection')
    answer(request, reply, { statusCode, headers, body: stream }).catch((error: unknown) => {
      discard(stream)
      void reply.send(error)
    })
  }
}

async function settle(answer: Promise<Answer>): Promise<Outcome> {
  try {
    return { answer: await answer }
  } catch (error) {
    return { error }
  }
}

/** Looks into it for as long as other answers may take; who cannot be asked has confirmed nothing. */
async function confirmInTime(
  request: FastifyRequest,
  outcome: Outcome,
  confirm: NonNullable<ForwardedRoute['confirm']>,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  const { answer: limit } = exchangeOf(request).timeLimits
  const looking = withinTime(limit, signal, upstreamTooSlow, within => confirm(request, outcome, within))
  return looking.catch(() => undefined)
}

interface Context {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly forwarding: Forwarding
  readonly signal: AbortSignal
}

/** What reply-from makes of an undici answer. */
interface Received {
  readonly statusCode: number
  readonly headers: IncomingHttpHeaders
  readonly stream: Answer['body']
}
