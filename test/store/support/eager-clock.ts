import type { Clock } from '../../../src/store/clock.js'

/** A clock that goes on by itself to whatever is waited for next, until `end`, and there stands still. */
export class EagerClock implements Clock {
  /** The longest time that was waited for, in milliseconds. */
  longest = 0
  #now = 0
  readonly #timers = new Set<{ at: number; call: () => void }>()

  /** `end` is in milliseconds. */
  constructor(public end: number) {}

  now(): number {
    return this.#now
  }

  after(ms: number, call: () => void): () => void {
    this.longest = Math.max(this.longest, ms)
    const timer = { at: this.#now + ms, call }
    this.#timers.add(timer)
    setImmediate(() => this.#goOn())
    return () => void this.#timers.delete(timer)
  }

  #goOn(): void {
    const next = [...this.#timers].sort((a, b) => a.at - b.at)[0]
    if (!next || next.at > this.end) return
    this.#timers.delete(next)
    this.#now = Math.max(this.#now, next.at)
    next.call()
  }
}
