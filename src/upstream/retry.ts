import { discard } from './discard.js'
import type { Clock } from './ecr-token.js'
import type { RetryReason } from './observer.js'
import { retryAfterOf } from './retry-after.js'
import type { Answer, OutboundRequest, Send } from './send.js'
import { ConnectionFailure } from './transport-error.js'
import { pause } from './pause.js'

export interface RetryOptions {
  readonly random?: () => number
  readonly clock?: Clock
  /** The longest wait before the first further try, in milliseconds; twice that before the next. */
  readonly backoff?: number
  /** Is told why a request is about to be sent again. */
  readonly onRetry?: (reason: RetryReason) => void
}

const FURTHER_TRIES = 2

/** Who is told to come again later than this, in milliseconds, tells its client so, however patient that is. */
const LONGEST_WAIT = 20_000

const WORTH_ANOTHER_TRY = [429, 500, 502, 503, 504]

/**
 * Tries again before the first byte of an answer: twice at most, after waits drawn at random up to a growing bound
 * (AWS: "Exponential backoff and jitter"), or as long as Retry-After says, and never beyond the request's patience.
 * What remains of a 429 or 5xx is the answer. An answer that may be about an earlier try says so (`repeated`), and a
 * ConnectionFailure was `sent` when any of the tries was.
 */
export function retry({
  random = Math.random,
  clock = performance,
  backoff = 200,
  onRetry = () => undefined,
}: RetryOptions = {}): (send: Send) => Send {
  return send => async request => {
    const giveUpAt = clock.now() + request.patience
    let repeated = false
    for (let tries = 0; ; tries++) {
      const patience = Math.max(0, giveUpAt - clock.now())
      const outcome = await settle(send({ ...request, patience }))
      const wait = waitAfter(outcome) ?? random() * backoff * 2 ** tries
      const again =
        tries < FURTHER_TRIES &&
        !request.signal.aborted &&
        mayRepeat(request, outcome) &&
        wait <= LONGEST_WAIT &&
        clock.now() + wait <= giveUpAt
      if (!again) return unwrap(outcome, repeated)
      repeated ||= mayHaveBeenDone(outcome)
      onRetry(reasonOf(outcome))
      if ('answer' in outcome) discard(outcome.answer.body)
      await pause(wait, request.signal)
    }
  }
}

type Outcome = { readonly answer: Answer } | { readonly error: unknown }

async function settle(answer: Promise<Answer>): Promise<Outcome> {
  try {
    return { answer: await answer }
  } catch (error) {
    return { error }
  }
}

function unwrap(outcome: Outcome, repeated: boolean): Answer {
  if ('answer' in outcome) return repeated ? { ...outcome.answer, repeated } : outcome.answer
  const { error } = outcome
  // Of all the tries, one was sent.
  if (repeated && error instanceof ConnectionFailure && !error.sent)
    throw new ConnectionFailure(error.message, true, error.cause)
  throw error
}

/** Whether a try that failed may have been carried out all the same. */
function mayHaveBeenDone(outcome: Outcome): boolean {
  if ('answer' in outcome) return outcome.answer.statusCode >= 500
  return outcome.error instanceof ConnectionFailure && outcome.error.sent
}

function reasonOf(outcome: Outcome): RetryReason {
  if ('error' in outcome) return 'connection'
  return outcome.answer.statusCode === 429 ? 'throttled' : 'server_error'
}

function waitAfter(outcome: Outcome): number | undefined {
  return 'answer' in outcome ? retryAfterOf(outcome.answer.headers) : undefined
}

/**
 * Whether doing it again can do no harm. A stream is gone once it was sent. Reading, deleting and requests about an
 * upload that bring no bytes may be repeated after anything. An upload begun in vain is forgotten by ECR, and a manifest
 * put twice is the same manifest; those are repeated when there was no answer, or when it was a 429.
 *
 * A second deletion finds nothing, a second end finds no upload, and a second push finds its tag taken: who sends such
 * requests compares what was wanted with what there is (`repeated`).
 */
function mayRepeat({ method, action, body }: OutboundRequest, outcome: Outcome): boolean {
  if (body !== undefined && !Buffer.isBuffer(body)) return false
  const repeatable = body === undefined && method !== 'POST'
  if ('answer' in outcome) {
    const { statusCode } = outcome.answer
    return repeatable ? WORTH_ANOTHER_TRY.includes(statusCode) : statusCode === 429
  }
  if (!(outcome.error instanceof ConnectionFailure)) return false
  return repeatable || !outcome.error.sent || action === 'InitiateLayerUpload' || action === 'PutImage'
}
