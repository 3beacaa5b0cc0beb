import { LRUCache } from 'lru-cache'
import { OciError } from '../oci/error.js'
import type { Secret } from '../secret.js'
import { awsCauseOf } from './aws-cause.js'
import { explain, problemOf, type TokenProblem } from './token-problem.js'
import { untilAborted } from '../until-aborted.js'

/** A credential as it was given out, for requests to a registry. */
export interface IssuedToken {
  /** The value of an Authorization header. */
  readonly authorization: Secret
  /** By AWS's clock. */
  readonly expiresAt: Date | undefined
}

export type IssueToken = () => Promise<IssuedToken>

/** A monotonic clock, in milliseconds. */
export interface Clock {
  now(): number
}

/** A credential for the registries of one region. */
export class Token {
  constructor(
    /** The value of an Authorization header. */
    readonly authorization: Secret,
    /** Both in milliseconds of the monotonic clock. */
    readonly obtainedAt: number,
    readonly expiresAt: number,
  ) {}
}

export interface TokenState {
  /** Whether a token is held that is valid as far as is known. */
  readonly usable: boolean
  /** Milliseconds; undefined without a token. */
  readonly expiresIn: number | undefined
  /** Since it was obtained, in milliseconds; undefined without a token. */
  readonly age: number | undefined
  /** Why the last call for a token failed; undefined when it did not. */
  readonly problem: TokenProblem | undefined
}

/** Tokens of one set of credentials in one region. */
export interface TokenSource {
  /** The token to send now. Throws an OciError (503 with Retry-After) when there is none to be had. */
  current(signal: AbortSignal): Promise<Token>
  /**
   * A token in place of one that a registry refused: the newer one if there is one already, else a new one. May give
   * the refused one back, when it is so new that asking again is not due yet.
   */
  renew(refused: Token, signal: AbortSignal): Promise<Token>
  state(): TokenState
  /** Ends the renewals. */
  close(): void
}

/** Tokens by the credentials and region that they are for; keeps calls to one in flight for each. */
export type TokenCache = LRUCache<string, Token, () => Promise<Token>>

export function createTokenCache(clock: Clock = performance): TokenCache {
  return new LRUCache<string, Token, () => Promise<Token>>({
    max: 1000,
    perf: clock,
    ttlResolution: 0,
    // A renewal that fails must not take away the token that still works.
    noDeleteOnFetchRejection: true,
    fetchMethod: async (_key, _held, { options, context: obtain }) => {
      const token = await obtain()
      options.ttl = Math.max(1, Math.ceil(token.expiresAt - clock.now()))
      return token
    },
  })
}

/** AWS, GetAuthorizationToken: "The authorization token is valid for 12 hours." */
const LONGEST_LIFE = 12 * 60 * 60 * 1000

/**
 * How long a token just received is to live, in milliseconds. The wall clock is asked this once; a token that it
 * calls expired already comes with a wrong clock on either side, and is used until it is refused.
 */
function lifeOf({ expiresAt }: IssuedToken): number {
  const told = expiresAt === undefined ? 0 : expiresAt.getTime() - Date.now()
  return told > 0 ? Math.min(told, LONGEST_LIFE) : LONGEST_LIFE
}

export interface TokenSourceOptions {
  readonly key: string
  readonly cache: TokenCache
  readonly issue: IssueToken
  readonly clock?: Clock
  readonly random?: () => number
  /** Least time between two calls, in milliseconds. */
  readonly minInterval?: number
  /** Longest time between two calls while they fail, in milliseconds. */
  readonly maxBackoff?: number
}

export function createTokenSource({
  key,
  cache,
  issue,
  clock = performance,
  random = Math.random,
  minInterval = 1000,
  maxBackoff = 60_000,
}: TokenSourceOptions): TokenSource {
  let problem: TokenProblem | undefined
  let failures = 0
  /** Before this no further call is made. */
  let nextCall = 0
  let calling = false
  let closed = false
  let renewal: NodeJS.Timeout | undefined

  /** One call, however many wait for it. */
  async function obtain(): Promise<Token> {
    calling = true
    try {
      const issued = await issue()
      const [now, life] = [clock.now(), lifeOf(issued)]
      problem = undefined
      failures = 0
      nextCall = now + minInterval
      renewIn(life * (0.5 + 0.3 * random()))
      return new Token(issued.authorization, now, now + life)
    } catch (error) {
      problem = problemOf(error)
      const longest = Math.min(maxBackoff, minInterval * 2 ** failures++)
      const backoff = Math.max(minInterval, longest * (0.5 + 0.5 * random()))
      nextCall = clock.now() + backoff
      renewIn(backoff)
      throw unavailable(problem, error)
    } finally {
      calling = false
    }
  }

  async function call(signal?: AbortSignal): Promise<Token> {
    if (problem !== undefined && !calling && clock.now() < nextCall) throw unavailable(problem)
    const fetched = cache.fetch(key, { context: obtain, forceRefresh: true })
    const token = signal ? await untilAborted(fetched, signal) : await fetched
    if (token === undefined) throw unavailable('failed')
    return token
  }

  function renewIn(ms: number): void {
    clearTimeout(renewal)
    if (closed) return
    renewal = setTimeout(renewInBackground, Math.max(ms, minInterval))
    renewal.unref()
  }

  function renewInBackground(): void {
    // A failure is kept in `problem`, and the next attempt is planned.
    call().catch(() => undefined)
  }

  function unavailable(why: TokenProblem, cause?: unknown): OciError {
    const seconds = Math.max(1, Math.ceil((nextCall - clock.now()) / 1000))
    return new OciError('UNKNOWN', explain(why), {
      status: 503,
      retryAfter: seconds,
      ...(cause !== undefined && { cause: awsCauseOf(cause) }),
    })
  }

  return {
    async current(signal) {
      signal.throwIfAborted()
      return cache.get(key) ?? call(signal)
    },
    async renew(refused, signal) {
      signal.throwIfAborted()
      const held = cache.get(key)
      if (held && held !== refused) return held
      if (held && !calling && problem === undefined && clock.now() < nextCall) return held
      return call(signal)
    },
    state() {
      const held = cache.get(key)
      const now = clock.now()
      return {
        usable: held !== undefined,
        expiresIn: held && held.expiresAt - now,
        age: held && now - held.obtainedAt,
        problem,
      }
    },
    close() {
      closed = true
      clearTimeout(renewal)
      cache.delete(key)
    },
  }
}
