import type { EcrAction } from './ecr-action.js'

/** What is asked for on the far side: an action of ECR, or bytes of its storage. */
export type Operation = EcrAction | 'GetObject'

/** How a request came out: the status of its answer, or why there was none. */
export type RequestOutcome = number | 'unreachable' | 'broken_off' | 'timeout' | 'aborted' | 'failed'

/**
 * Why a request was sent again: a 429, a 5xx or no answer of the registry, a token that it refused, or bytes that its
 * storage refused (a signature may have expired, or it is no storage that is allowed) or failed to give.
 */
export const RETRY_REASONS = [
  'throttled',
  'server_error',
  'connection',
  'token',
  'storage_refused',
  'storage_failed',
] as const

export type RetryReason = (typeof RETRY_REASONS)[number]

/** Is told of all that goes on between the mirror and one upstream, in its midst: it neither waits nor fails. */
export interface UpstreamObserver {
  /** A request is sent; what this gives is told how it came out, once. */
  began(operation: Operation): (outcome: RequestOutcome) => void
  retried(reason: RetryReason): void
  /** So many bytes of a body. */
  received(bytes: number): void
  sent(bytes: number): void
}

export const UNOBSERVED: UpstreamObserver = {
  began: () => () => undefined,
  retried: () => undefined,
  received: () => undefined,
  sent: () => undefined,
}
