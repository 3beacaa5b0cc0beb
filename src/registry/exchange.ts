import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import type { AddressSet } from '../access/address-set.js'
import { networkOf } from '../access/network-of.js'
import type { PasswordCheck, Verdict } from '../access/password-check.js'
import type { Policy, Principal } from '../access/policy.js'
import type { EndpointKind } from '../oci/endpoint.js'
import type { UpstreamTable } from '../upstream/upstream-table.js'
import { FairTurns } from './fair-turns.js'
import { TIME_LIMITS, type TimeLimits } from './patience.js'
import { unshared, type RequestShare } from './request-share.js'
import type { RepositoryTarget, Target } from './target.js'

/** What may change while the mirror runs; a reload puts a whole new one in its place. */
export interface Rules {
  readonly hasUsers: boolean
  readonly passwords: PasswordCheck
  readonly policy: Policy
  readonly upstreams: UpstreamTable
  /** The addresses whose X-Forwarded-For counts. */
  readonly trustedProxies: AddressSet
  /** Who a certificate makes the client at the other end of a connection; undefined for nobody. */
  readonly certificateName: (socket: Duplex) => string | undefined
}

/** One request and its answer, as far as they have become known. */
export interface Exchange {
  /** Taken once; a reload in the middle changes nothing for this request. */
  readonly rules: Rules
  /** Aborts when the client leaves before its answer is complete. */
  readonly gone: AbortSignal
  /** What it has of what all requests share. */
  readonly share: RequestShare
  readonly timeLimits: TimeLimits
  /**
   * To be awaited before the next piece of work that is the client's alone; undefined when that is now. Throws when the
   * client has left.
   */
  turn(): Promise<void> | undefined
  /** When it came, in milliseconds of the monotonic clock. */
  readonly began: number
  address: string | undefined
  principal: Principal | undefined
  target: Target | undefined
  /** A login that was not accepted; `user` only where there is one of that name. */
  refusedLogin: { readonly user: string | undefined } | undefined
  /** What became of the credentials that came with it; undefined where there were none to look at. */
  login: Verdict | undefined
  /** When its headers went out, in milliseconds since it came; undefined for an answer that goes out in one piece. */
  answeredAfter: number | undefined
  /** What the client was told went wrong, if something did. */
  problem: string | undefined
  /** Bytes of the content that a client pushed, once it was taken. */
  pushed: number | undefined
  /** What the upstream warned of in its last answer that was no refusal, as the value of a Warning header. */
  warning: string | undefined
  /** What the upstream took, in milliseconds, and its own id of the request; for the log. */
  upstream: { ms: number; status: number; requestId: string | undefined } | undefined
}

const exchanges = new WeakMap<IncomingMessage, Exchange>()

export function beginExchange(
  request: FastifyRequest,
  rules: Rules,
  gone: () => AbortSignal,
  share = unshared(),
  timeLimits = TIME_LIMITS,
  turns = new FairTurns(),
): Exchange {
  const exchange: Exchange = {
    rules,
    get gone() {
      return gone()
    },
    share,
    timeLimits,
    turn: () => turns.take(networkOf(exchange.address ?? ''), gone),
    began: performance.now(),
    address: undefined,
    principal: undefined,
    target: undefined,
    refusedLogin: undefined,
    login: undefined,
    answeredAfter: undefined,
    problem: undefined,
    pushed: undefined,
    warning: undefined,
    upstream: undefined,
  }
  exchanges.set(request.raw, exchange)
  return exchange
}

/** The exchange of a request that passed the gate. */
export function exchangeOf(request: FastifyRequest): Exchange {
  const exchange = exchanges.get(request.raw)
  if (!exchange) throw new Error('The request did not pass the gate.')
  return exchange
}

/** As exchangeOf, for requests that the gate may have refused. */
export function knownExchange(request: FastifyRequest): Exchange | undefined {
  return exchanges.get(request.raw)
}

/** The target of a request on a route that is about a repository. */
export function repositoryTarget<K extends EndpointKind>(
  request: FastifyRequest,
  kind: K,
): RepositoryTarget<K> {
  const { target } = exchangeOf(request)
  if (!isOfKind(target, kind)) throw new Error(`The request on the ${kind} route has another target.`)
  return target
}

function isOfKind<K extends EndpointKind>(
  target: Target | undefined,
  kind: K,
): target is RepositoryTarget<K> {
  return target?.endpoint.kind === kind && target.place !== undefined
}
