import type { Budget } from '../budget.js'
import { OciError } from '../oci/error.js'
import type { Clock } from './clock.js'

/** How long one waits for a slot, in milliseconds: less than what a client waits for an answer to begin. */
const PATIENCE = 5_000

/** Lets so many at a time do something, in the order in which they came. */
export class Slots {
  readonly #budget: Budget
  readonly #clock: Clock
  readonly #waiting = new Set<() => void>()

  constructor(budget: Budget, clock: Clock) {
    this.#budget = budget
    this.#clock = clock
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Resolves with a slot, to be given back by what it gives. Throws an OciError when none becomes free in time, or the signal's reason. */
  take(signal: AbortSignal): Promise<() => void> {
    if (this.#budget.inUse < this.#budget.limit) {
      this.#budget.take()
      return Promise.resolve(() => this.#giveBack())
    }
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        this.#waiting.delete(next)
        signal.removeEventListener('abort', leave)
        cancel()
        settle()
      }
      const next = (): void => end(() => resolve(() => this.#giveBack()))
      // The reason is thrown as it is, whatever it is.
      const leave = (): void => end(() => reject(signal.reason as Error))
      const cancel = this.#clock.after(PATIENCE, () => {
        this.#budget.refuse()
        end(() => reject(none()))
      })
      this.#waiting.add(next)
      signal.addEventListener('abort', leave, { once: true })
      if (signal.aborted) leave()
    })
  }

  /** Whoever waits longest has it next. */
  #giveBack(): void {
    const [next] = this.#waiting
    if (next) next()
    else this.#budget.giveBack()
  }
}

function none(): OciError {
  return new OciError('TOOMANYREQUESTS', 'The mirror fetches as many blobs as it may; try again.', {
    status: 503,
    retryAfter: 1,
  })
}
