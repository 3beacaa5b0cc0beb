import type { Budget } from '../budget.js'
import { OciError } from '../oci/error.js'
import { ALONE, Shares, type Client } from '../shares.js'
import type { Clock } from './clock.js'

/** How long one waits for a slot, in milliseconds: less than what a client waits for an answer to begin. */
const PATIENCE = 5_000

interface Waiting {
  readonly client: Client
  readonly start: () => void
}

/**
 * Lets so many at a time do something, each client no more than its share. Of those who wait, whose client does the
 * least is next, and of the same client whoever came first.
 */
export class Slots {
  readonly #shares: Shares
  readonly #clock: Clock
  readonly #waiting = new Set<Waiting>()

  constructor(budget: Budget, clock: Clock) {
    this.#shares = new Shares(budget, 1)
    this.#clock = clock
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Resolves with a slot, to be given back by what it gives. Throws an OciError when none becomes free in time, or the signal's reason. */
  take(signal: AbortSignal, client: Client = ALONE): Promise<() => void> {
    if (this.#shares.allows(client)) return Promise.resolve(this.#begin(client))
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        this.#waiting.delete(waiting)
        signal.removeEventListener('abort', leave)
        cancel()
        settle()
      }
      const waiting: Waiting = { client, start: () => end(() => resolve(this.#begin(client))) }
      // The reason is thrown as it is, whatever it is.
      const leave = (): void => end(() => reject(signal.reason as Error))
      const cancel = this.#clock.after(PATIENCE, () => {
        this.#shares.budget.refuse()
        end(() => reject(none()))
      })
      this.#waiting.add(waiting)
      signal.addEventListener('abort', leave, { once: true })
      if (signal.aborted) leave()
    })
  }

  #begin(client: Client): () => void {
    this.#shares.take(client)
    return () => {
      this.#shares.giveBack(client)
      for (let next = this.#next(); next; next = this.#next()) next.start()
    }
  }

  #next(): Waiting | undefined {
    let next: Waiting | undefined
    for (const each of this.#waiting) {
      if (!this.#shares.allows(each.client)) continue
      if (!next || this.#shares.heldBy(each.client) < this.#shares.heldBy(next.client)) next = each
    }
    return next
  }
}

function none(): OciError {
  return new OciError('TOOMANYREQUESTS', 'The mirror fetches as many blobs as it may; try again.', {
    status: 503,
    retryAfter: 1,
  })
}
