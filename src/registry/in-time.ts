import type { FastifyRequest } from 'fastify'
import { OciError } from '../oci/error.js'
import { withinTime } from './deadline.js'
import { exchangeOf } from './exchange.js'
import { answerLimit } from './patience.js'

/**
 * Runs what an answer waits for within the time that is left for it since the request came (see `answerLimit`). The
 * signal follows the client alone once the work is done. Rejects with an OciError (504) when it takes longer.
 */
export function inTime<T>(request: FastifyRequest, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { gone } = exchangeOf(request)
  return withinTime(timeLeft(request), gone, upstreamTooSlow, work)
}

/** The milliseconds that are left until the headers of the request's answer have to go out. */
export function timeLeft(request: FastifyRequest): number {
  const { began, target, timeLimits } = exchangeOf(request)
  if (!target) throw new Error('The request has no target.')
  return Math.max(0, answerLimit(request.method, target.endpoint, timeLimits) - (performance.now() - began))
}

export function upstreamTooSlow(): OciError {
  return new OciError('UNKNOWN', 'The upstream registry did not answer in time; try again.', {
    status: 504,
    retryAfter: 1,
  })
}
