import type { Clock } from './ecr-token.js'
import type { Send } from './send.js'
import { verdictOf } from './verdict.js'

/** Whether a registry answers, as its requests show. Times in milliseconds of the monotonic clock. */
export interface Reachability {
  /** How long ago it last failed to answer for the first time since it answered; undefined while it answers. */
  readonly awayFor: number | undefined
  /**
   * Whether asking is worth a wait to somebody who could do without. While nothing comes back, neither yes nor no, one
   * in a few seconds is let through to find out; what fails at once costs nothing to ask.
   */
  worthAsking(): boolean
  /** Somebody gave up waiting for an answer. */
  gaveUp(): void
}

/** A failure that took longer is one to spare others, in milliseconds. */
const SLOW = 2_000

/** How long a registry that kept somebody waiting is not asked by who can do without, in milliseconds. */
const PAUSE = 5_000

/** The outermost step of the way out, and what it sees of whether answers come. */
export function watchReachability(clock: Clock = performance): {
  readonly step: (send: Send) => Send
  readonly reachability: Reachability
} {
  let awaySince: number | undefined
  /** Undefined while it answers or fails at once. */
  let askAgainAt: number | undefined

  function away(tookMs: number): void {
    awaySince ??= clock.now()
    askAgainAt = tookMs >= SLOW ? clock.now() + PAUSE : undefined
  }

  function answered(): void {
    awaySince = undefined
    askAgainAt = undefined
  }

  return {
    step: send => async request => {
      const began = clock.now()
      const took = (): number => clock.now() - began
      try {
        const answer = await send(request)
        if (answer.statusCode >= 500) away(took())
        // Of a rate that is used up nothing follows for other requests.
        else if (answer.statusCode !== 429) answered()
        return answer
      } catch (error) {
        if (!request.signal.aborted && verdictOf(error) === 'away' && !isThrottled(error)) away(took())
        throw error
      }
    },
    reachability: {
      get awayFor() {
        return awaySince === undefined ? undefined : clock.now() - awaySince
      },
      worthAsking() {
        if (askAgainAt === undefined) return true
        if (clock.now() < askAgainAt) return false
        askAgainAt = clock.now() + PAUSE
        return true
      },
      gaveUp: () => away(SLOW),
    },
  }
}

function isThrottled(error: unknown): boolean {
  return error instanceof Error && 'status' in error && error.status === 429
}
