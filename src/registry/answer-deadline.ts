import type { FastifyRequest } from 'fastify'
import { exchangeOf } from './exchange.js'
import { timeLeft, upstreamTooSlow } from './in-time.js'
import type { UploadBody } from './upload-body.js'

/** The end of the wait for an upstream's answer. */
export interface AnswerDeadline {
  /** Aborts when the client leaves, and with an OciError (504) when the answer is late. */
  readonly signal: AbortSignal
  /** The answer has come: nothing is late any more. */
  end(): void
}

/**
 * Watches over the wait for an answer. With a body that is sent as it comes, the limit counts from the body's last piece:
 * its client waits for an answer only then. While the body is on its way, the upstream has to take some of it now and
 * then; a client that sends nothing is not the upstream's fault.
 */
export function answerDeadline(request: FastifyRequest, body: UploadBody | undefined): AnswerDeadline {
  const { gone, timeLimits } = exchangeOf(request)
  const began = performance.now()
  const limit = timeLeft(request)
  const late = new AbortController()
  let timer: NodeJS.Timeout | undefined

  function check(): void {
    const since = body?.movedAt ?? began
    const allowed = body && !body.isWhole ? Math.min(timeLimits.stall, limit) : limit
    const left = body?.waitsForClient ? allowed : since + allowed - performance.now()
    if (left > 0) checkIn(left)
    else late.abort(upstreamTooSlow())
  }

  function checkIn(ms: number): void {
    if (Number.isFinite(ms)) timer = setTimeout(check, Math.ceil(ms))
  }

  check()
  return {
    signal: AbortSignal.any([gone, late.signal]),
    end: () => clearTimeout(timer),
  }
}
