import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import type { EcrAction } from './ecr-action.js'

/** A request to an upstream registry, built from a parsed one: nothing in it was copied from a client unchecked. */
export interface OutboundRequest {
  readonly action: EcrAction
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'
  /** Path and query. */
  readonly path: string
  /** Lower-case names from the allow-list; neither Host nor Authorization, which are added on the way. */
  readonly headers: Readonly<Record<string, string>>
  /** A stream can be sent once; bytes can be sent again. */
  readonly body?: Readable | Buffer
  /** Ends the request, whether it waits, is being sent or is being answered. */
  readonly signal: AbortSignal
  /**
   * How long, in milliseconds, the request may wait for its turn and be tried again before an answer begins. Infinity:
   * as long as its signal lets it, also for the answer itself, which otherwise has the time that the connection gives it.
   */
  readonly patience: number
}

/** An answer's status, headers and body; the body must be read to its end or destroyed. */
export interface Answer {
  readonly statusCode: number
  readonly headers: IncomingHttpHeaders
  readonly body: Readable
  /** An earlier try of the same request may have been carried out, and this answer may be about that. */
  readonly repeated?: boolean
}

/**
 * One step of the way out. Steps are stacked: retry(throttle(authorize(transport))).
 * Whatever status the upstream answers is an answer; what is thrown is an OciError, or the signal's reason.
 */
export type Send = (request: OutboundRequest) => Promise<Answer>
