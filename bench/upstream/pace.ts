import { setTimeout as sleep } from 'node:timers/promises'

/** What was not used of the last milliseconds may be made up for; timers are no more exact than that. */
const SLACK_MS = 20

/** A limit on bytes per second that whoever shares it stands in line for. */
export class Pace {
  readonly #bytesPerMs: number
  #nextMs = 0

  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000
  }

  /** Resolves when these bytes may go. */
  async take(bytes: number): Promise<void> {
    const now = performance.now()
    this.#nextMs = Math.max(this.#nextMs, now - SLACK_MS) + bytes / this.#bytesPerMs
    const wait = this.#nextMs - now
    if (wait > 0) await sleep(wait)
  }
}
