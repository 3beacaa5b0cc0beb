import type { Clock } from './clock.js'

/**
 * Who waits for something to change. Each is woken once and then looks for itself, so nothing is left behind: neither
 * a listener per reader nor a reaction on a promise that lives long.
 */
export class Wakers {
  #waiting = new Set<() => void>()

  get size(): number {
    return this.#waiting.size
  }

  /** Resolves at the next `wake`; throws the signal's reason as soon as it aborts. */
  wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(wake)
        // The reason is thrown as it is, whatever it is.
        reject(signal.reason as Error)
      }
      const wake = (): void => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      if (signal.aborted) {
        leave()
        return
      }
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.add(wake)
    })
  }

  /** As `wait`, but resolves after `ms` milliseconds in any case. */
  async waitAtMost(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
    const late = new AbortController()
    const cancel = clock.after(ms, () => late.abort())
    try {
      await this.wait(AbortSignal.any([signal, late.signal]))
    } catch {
      signal.throwIfAborted()
    } finally {
      cancel()
    }
  }

  wake(): void {
    const waiting = this.#waiting
    if (waiting.size === 0) return
    this.#waiting = new Set()
    for (const wake of waiting) wake()
  }
}
