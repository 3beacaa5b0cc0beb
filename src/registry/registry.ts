import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { clientAddress } from '../access/client-address.js'
import { networkOf } from '../access/network-of.js'
import { ANONYMOUS, OPERATOR, type Principal } from '../access/policy.js'
import { OciError } from '../oci/error.js'
import type { Client } from '../shares.js'
import { RepositoryUnknown } from '../upstream/dialect.js'
import { admission, shareOf } from './admission.js'
import { authenticate } from './authenticate.js'
import { authorize, isAllowed } from './authorize.js'
import { base } from './base.js'
import { blobs } from './blobs.js'
import type { Cache } from './cache.js'
import { clientGone } from './client-gone.js'
import { discovery } from './discovery.js'
import { API_VERSION, errors } from './errors.js'
import { beginExchange, type Exchange, type Rules } from './exchange.js'
import { FairTurns } from './fair-turns.js'
import { gate } from './gate.js'
import { manifests } from './manifests.js'
import { parsedRequest } from './parsed-request.js'
import { referrers } from './referrers.js'
import type { TimeLimits } from './patience.js'
import type { RequestBudgets } from './request-share.js'
import { resolveTarget, unknownUpload, type Target } from './target.js'
import { ownerOf, type UploadSessions } from './upload-session.js'
import { uploads } from './uploads.js'
import { warnings } from './warning.js'

export interface RegistryOptions {
  /** The rules in force, asked for once a request, which goes by them until it is over. */
  readonly rules: (request: IncomingMessage, response: ServerResponse) => Rules
  readonly sessions: UploadSessions
  /** Undefined to stream everything through. */
  readonly cache: Cache | undefined
  readonly budgets: RequestBudgets
  /** Left out: as users have them. */
  readonly timeLimits?: TimeLimits
  /** Whether a connection is one of whoever runs the mirror, who need not log in. */
  readonly isOperator: (socket: Duplex) => boolean
  /** Learns that whoever is behind a connection has logged in, and as whom. */
  readonly onLogin?: (socket: Socket, user: string) => void
}

/**
 * The registry API, in the order in which a request meets its parts. Parsing came before (`routeOf`), and what no step
 * lets through ends in the one error writer.
 */
export function registry(
  app: FastifyInstance,
  { rules, sessions, cache, budgets, timeLimits, isOperator, onLogin }: RegistryOptions,
): void {
  errors(app)
  app.addHook('onSend', (_request, reply, _payload, done) => {
    reply.headers(API_VERSION)
    done()
  })

  const turns = new FairTurns()
  warnings(app)
  gate(app)
  admission(app, budgets)
  app.addHook('onRequest', async (request, reply) => {
    const exchange = beginExchange(
      request,
      rules(request.raw, reply.raw),
      clientGone(request.raw, reply.raw),
      shareOf(request),
      timeLimits,
      turns,
    )
    reply.header('x-request-id', request.id)
    exchange.address = clientAddress({
      peer: request.socket.remoteAddress,
      forwardedFor: request.headers['x-forwarded-for']?.toString(),
      trustedProxies: exchange.rules.trustedProxies,
    })
    await exchange.turn()

    // A stranger learns nothing, not even what is wrong with the request: first who, then what.
    const target = attempt(() => targetOf(request, exchange, sessions))
    if (!(target instanceof OciError) && target.ns !== undefined) reply.header('oci-namespace', target.ns)
    const isOpen =
      target instanceof OciError ? false : isOpenToAnybody(target, exchange, request.headers.host)
    exchange.principal = isOperator(request.raw.socket)
      ? OPERATOR
      : await authenticate(request, exchange, isOpen)
    const client = clientOf(request, exchange, exchange.principal)
    if (client.user !== undefined) onLogin?.(request.raw.socket, client.user)
    exchange.share.admit(client)
    if (target instanceof OciError) throw target
    // Whoever has come by another's session does not even learn that it is one.
    if (target.session && target.session.principal !== ownerOf(exchange.principal)) throw unknownUpload()
    exchange.target = target
    authorize(exchange.principal, target, exchange)
    if (target.place) cache?.begin(request, target.place)
  })

  // Before the answer goes out: whoever hears it may push at once, into a repository of the same name.
  app.addHook('onError', (request, _reply, error, done) => {
    if (!cache || !(error instanceof RepositoryUnknown)) {
      // At once: a parser's error may end the connection of whoever waits for the answer.
      done()
      return
    }
    cache.forgetRepository(request).then(done, (failure: unknown) => {
      request.log.error({ err: failure }, 'what is known of a repository was not forgotten')
      done()
    })
  })

  app.register(async api => {
    base(api)
    blobs(api, { cache })
    manifests(api, { cache })
    referrers(api, { cache })
    discovery(api)
  })
  app.register(async api => uploads(api, { sessions, cache }))
}

/** Whose share of everything a request takes from. */
function clientOf(request: FastifyRequest, { address }: Exchange, principal: Principal): Client {
  return {
    network: networkOf(address ?? request.socket.remoteAddress ?? ''),
    user: principal.kind === 'anonymous' ? undefined : ownerOf(principal),
  }
}

function targetOf(request: FastifyRequest, { rules }: Exchange, sessions: UploadSessions): Target {
  const parsed = parsedRequest(request.raw)
  if (parsed instanceof OciError) throw parsed
  return resolveTarget(request.method, parsed, request.headers.host ?? '', rules.upstreams, sessions)
}

/**
 * `GET /v2/` asks for a login whenever there are users: a 200 would make `docker login` accept any password. Not so under
 * a name that an upstream serves to anybody: dockerd pings a registry mirror, has no login for it, and goes past one
 * that asks for it.
 */
function isOpenToAnybody(target: Target, exchange: Exchange, host = ''): boolean {
  if (target.actions.length > 0) return isAllowed(ANONYMOUS, target, exchange)
  const { hasUsers, upstreams } = exchange.rules
  const upstream = upstreams.serving(host)
  return (
    !hasUsers ||
    (upstream !== undefined && isAllowed(ANONYMOUS, { ...target, upstream, actions: ['pull'] }, exchange))
  )
}

function attempt<T>(work: () => T): T | OciError {
  try {
    return work()
  } catch (error) {
    if (error instanceof OciError) return error
    throw error
  }
}
