import { untilAborted } from '../until-aborted.js'

interface Flight<T> {
  readonly result: Promise<T>
  readonly controller: AbortController
  waiting: number
}

/** Questions of which each is asked once, however many wait for the answer. */
export class Flights<T> {
  readonly #flights = new Map<string, Flight<T>>()

  /** How many questions are being asked. */
  get size(): number {
    return this.#flights.size
  }

  /** Whether the question `key` is being asked. */
  has(key: string): boolean {
    return this.#flights.has(key)
  }

  /**
   * The answer to the question `key`: of the one that is being asked, or of `ask`. A question belongs to nobody: it is
   * given up when the last who waits for it has left. Throws what `ask` throws, or the signal's reason.
   */
  async join(
    key: string,
    signal: AbortSignal,
    ask: (signal: AbortSignal) => Promise<T>,
  ): Promise<{ readonly result: T; readonly first: boolean }> {
    signal.throwIfAborted()
    const joined = this.#flights.get(key)
    const flight = joined ?? this.#begin(key, ask)
    flight.waiting++
    try {
      return { result: await untilAborted(flight.result, signal), first: !joined }
    } finally {
      flight.waiting--
      if (flight.waiting === 0 && this.#flights.get(key) === flight) {
        this.#flights.delete(key)
        flight.controller.abort(signal.reason)
      }
    }
  }

  #begin(key: string, ask: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController()
    const result = ask(controller.signal)
    const flight = { result, controller, waiting: 0 }
    const over = (): void => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
    }
    result.then(over, over)
    this.#flights.set(key, flight)
    return flight
  }
}
