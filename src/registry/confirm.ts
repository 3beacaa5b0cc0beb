import { Readable } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import type { Digest } from '../oci/digest.js'
import { OciError } from '../oci/error.js'
import { discard } from '../upstream/discard.js'
import { outboundHeaders } from '../upstream/headers.js'
import type { Answer, OutboundRequest } from '../upstream/send.js'
import { ConnectionFailure } from '../upstream/transport-error.js'
import { exchangeOf } from './exchange.js'
import { PATIENCE } from './patience.js'
import { sendTimed } from './send-timed.js'
import type { Place } from './target.js'

/** What came of a request to an upstream: its answer, or why there was none. */
export type Outcome = { readonly answer: Answer } | { readonly error: unknown }

/**
 * Whether the upstream may have done what it was asked for, though this outcome says otherwise: the answer was lost, it
 * failed in the midst of it (5xx), or what it says may be about an earlier try of the mirror's own.
 */
export function isUncertain(outcome: Outcome): boolean {
  if ('answer' in outcome) return outcome.answer.repeated === true || outcome.answer.statusCode >= 500
  const { error } = outcome
  if (error instanceof ConnectionFailure) return error.sent
  return error instanceof OciError && error.status === 502
}

/** Whether the outcome is an answer of that status. */
export function isStatus(outcome: Outcome, status: number): boolean {
  return 'answer' in outcome && outcome.answer.statusCode === status
}

/** The answer of an upstream that has done what it was asked for. */
export function asDone(statusCode: 201 | 202, headers: Answer['headers'] = {}): Answer {
  return { statusCode, headers, body: Readable.from([]) }
}

/** Asks the upstream by a HEAD, of which the body is nobody's. */
export async function askHead(
  request: FastifyRequest,
  { upstream }: Pick<Place, 'upstream'>,
  asked: Pick<OutboundRequest, 'action' | 'path' | 'signal'> & { readonly accept?: string },
): Promise<Answer> {
  const { accept, ...rest } = asked
  const answer = await sendTimed(exchangeOf(request), upstream, {
    ...rest,
    method: 'HEAD',
    headers: outboundHeaders(accept === undefined ? {} : { accept }, ['accept']),
    patience: PATIENCE.read,
  })
  discard(answer.body)
  return answer
}

/** 201 when the repository has the blob: what is stored under a digest is what its pusher meant. */
export async function confirmBlob(
  request: FastifyRequest,
  place: Place,
  digest: Digest,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  const path = `/v2/${place.upstreamRepository}/blobs/${digest}`
  const { statusCode } = await askHead(request, place, {
    action: 'BatchCheckLayerAvailability',
    path,
    signal,
  })
  // A registry redirects only to what it has.
  return statusCode >= 200 && statusCode < 400 ? asDone(201) : undefined
}
