import { pause, type Clock } from './clock.js'
import { HASH_CHUNK } from './hash-follower.js'

/** Of what a second may have, the most that passes at once. */
const PIECE = 1 / 40

/**
 * Lets bytes pass in pieces, so that no second has more than `rate` of them, wherever it begins. What was not used of
 * the rate is not made up for later.
 */
export class Pace {
  /** The most bytes that may be taken at once. */
  readonly piece: number
  /** In bytes per millisecond. */
  readonly #speed: number
  readonly #clock: Clock
  /** When all that was taken so far has had its time. */
  #free = 0

  /** `rate` is in bytes per second, at least 1. */
  constructor(rate: number, clock: Clock) {
    this.piece = Math.max(1, Math.min(HASH_CHUNK, Math.floor(rate * PIECE)))
    // A second may begin with a piece that had its time in the one before, so that much is left for the others.
    this.#speed = Math.max(rate - this.piece, rate / 2) / 1000
    this.#clock = clock
  }

  /** Waits for the time that `bytes` more take; throws the signal's reason as soon as it aborts. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const now = this.#clock.now()
    this.#free = Math.max(now, this.#free) + bytes / this.#speed
    await pause(this.#clock, this.#free - now, signal)
  }
}
