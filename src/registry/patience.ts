import type { Endpoint } from '../oci/endpoint.js'

/** How long clients are kept waiting for an upstream, in milliseconds. */
export interface TimeLimits {
  /** Until the headers of a blob go out. */
  readonly blob: number
  /** Until the headers of all other answers go out, those of `answerLimit` excepted that have no limit. */
  readonly answer: number
  /** How long the upstream may take nothing of a body of which there is more. */
  readonly stall: number
}

/** containerd 2.3 and Docker 29 give up on an answer whose headers take 30 s. */
export const TIME_LIMITS: TimeLimits = { blob: 10_000, answer: 25_000, stall: 60_000 }

/**
 * How long the headers of an answer may take, in milliseconds:
 *
 * | request                                                            | limit                            |
 * | ------------------------------------------------------------------ | -------------------------------- |
 * | GET, HEAD of a blob                                                | `blob`                           |
 * | PUT of an upload, POST of a whole blob (`?digest=`), PUT manifest  | none: as long as the client waits |
 * | PATCH of an upload                                                 | `answer`, from the end of its body |
 * | everything else                                                    | `answer`                         |
 *
 * An end has no limit, since ECR puts a layer together only then, which takes a minute for a large one, and since the
 * client cannot ask later how it came out.
 */
export function answerLimit(method: string, endpoint: Endpoint, limits: TimeLimits): number {
  switch (endpoint.kind) {
    case 'blob':
      return method === 'DELETE' ? limits.answer : limits.blob
    case 'manifest':
    case 'upload':
      return method === 'PUT' ? Infinity : limits.answer
    case 'uploads':
      return endpoint.digest === undefined ? limits.answer : Infinity
    default:
      return limits.answer
  }
}

/**
 * How long, in milliseconds, a request may wait for its turn and be tried again before its answer begins. It is less
 * than the limit of its answer, so that clients hear of a quota that is used up rather than of the time.
 */
export const PATIENCE = { read: 15_000, write: 20_000, end: Infinity } as const
