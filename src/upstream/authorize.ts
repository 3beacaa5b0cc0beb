import type { Readable } from 'node:stream'
import { OciError } from '../oci/error.js'
import { CredentialsRefused, ociErrorIn } from './dialect.js'
import { discard } from './discard.js'
import type { EcrHost } from './ecr-host.js'
import type { Clock, Token, TokenSource } from './ecr-token.js'
import { peek } from './peek.js'
import type { Answer, OutboundRequest, Send } from './send.js'

export interface AuthorizeOptions {
  /** The upstream's name, for people. */
  readonly upstream: string
  /** The statuses that may be about the token. */
  readonly refusals?: readonly number[]
  /** A token younger than this, in milliseconds, is not renewed for being refused. */
  readonly renewAfter?: number
  readonly clock?: Clock
  /** Is told that a request is sent again with another token. */
  readonly onRenewed?: () => void
}

/**
 * The statuses by which registries say that a token has expired. ECR has 403, with nothing else to tell it from a
 * permission that is missing but its words; ECR Public has 400, without any challenge.
 */
export const REFUSALS: Readonly<Record<EcrHost['kind'], readonly number[]>> = {
  private: [401, 403],
  public: [400, 401, 403],
}

/** As much of a refusal as is looked at, in bytes. */
const MAX_REFUSAL_BYTES = 64 * 1024

/**
 * Adds the token. When a token that is not quite new is refused, it is renewed once and the request sent again, if it
 * can be. A 401 never goes further than this, nor does a 403 that says it is about the token: both are thrown as an
 * OciError (503 with Retry-After). Any other refusal is an answer.
 */
export function authorize(
  tokens: Pick<TokenSource, 'current' | 'renew'>,
  {
    upstream,
    refusals = REFUSALS.private,
    renewAfter = 5000,
    clock = performance,
    onRenewed = () => undefined,
  }: AuthorizeOptions,
): (send: Send) => Send {
  const worthRenewing = (token: Token): boolean =>
    clock.now() - token.obtainedAt >= renewAfter || clock.now() >= token.expiresAt

  return send => async request => {
    const token = await tokens.current(request.signal)
    const first = await send(withToken(request, token))
    const refusal = await refusalIn(first, refusals)
    if (!refusal) return first
    if (!worthRenewing(token)) return unlessAboutToken(refusal)

    if (isStream(request.body)) {
      // Renewed all the same, for the client's next attempt; a failure shows there.
      tokens.renew(token, request.signal).catch(() => undefined)
      if (refusal.aboutToken) {
        discard(refusal.answer.body)
        throw tokenDiedUnderUpload()
      }
      return refusal.answer
    }

    const renewed = await tokens.renew(token, request.signal).catch((error: unknown) => {
      if (!refusal.aboutToken && !request.signal.aborted) return token
      discard(refusal.answer.body)
      throw error
    })
    if (renewed === token) return unlessAboutToken(refusal)
    discard(refusal.answer.body)
    onRenewed()
    const second = await send(withToken(request, renewed))
    const again = await refusalIn(second, refusals)
    return again ? unlessAboutToken(again) : second
  }

  function unlessAboutToken({ answer, aboutToken }: Refusal): Answer {
    if (!aboutToken) return answer
    discard(answer.body)
    throw new CredentialsRefused(upstream)
  }
}

function withToken(request: OutboundRequest, token: Token): OutboundRequest {
  return { ...request, headers: { ...request.headers, authorization: token.authorization.reveal() } }
}

function isStream(body: OutboundRequest['body']): body is Readable {
  return body !== undefined && !Buffer.isBuffer(body)
}

interface Refusal {
  /** Its body is whole. */
  readonly answer: Answer
  /** Whether it is surely the token that is refused, rather than what was asked. */
  readonly aboutToken: boolean
}

async function refusalIn(answer: Answer, refusals: readonly number[]): Promise<Refusal | undefined> {
  if (!refusals.includes(answer.statusCode)) return undefined
  if (answer.statusCode === 401) return { answer, aboutToken: true }
  const peeked = await peek(answer, MAX_REFUSAL_BYTES)
  return { answer: peeked.answer, aboutToken: saysTokenExpired(peeked.beginning.toString('utf8')) }
}

/** ECR: `{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}` */
function saysTokenExpired(body: string): boolean {
  return /authorization token has expired/i.test(ociErrorIn(body)?.message ?? '')
}

function tokenDiedUnderUpload(): OciError {
  return new OciError(
    'UNKNOWN',
    "ecr-mirror: the mirror's ECR token expired during this upload and is renewed now; push again.",
    { status: 503, retryAfter: 1 },
  )
}
