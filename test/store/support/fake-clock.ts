import type { Clock } from '../../../src/store/clock.js'

/** A clock that stands still until it is told to go on. */
export class FakeClock implements Clock {
  #now = 0
  readonly #timers = new Set<{ at: number; call: () => void }>()

  /** How many calls are still to come. */
  get pending(): number {
    return this.#timers.size
  }

  now(): number {
    return this.#now
  }

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#now + ms, call }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  /** Goes on by `ms`, from one timer to the next, and gives what each begins the time to settle. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settled()
    for (;;) {
      const next = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.call()
      await settled()
    }
    this.#now = end
  }
}

/** Lets everything run that waits neither for time nor for the world outside. */
export async function settled(turns = 12): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise(resolve => setImmediate(resolve))
}
