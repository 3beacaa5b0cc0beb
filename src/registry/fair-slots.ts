import { overloaded } from './overloaded.js'

export interface FairSlotsOptions {
  /** Slots in all. */
  readonly limit: number
  /** Slots that one client may hold at a time. */
  readonly perClient: number
  /** How long a request waits for a slot, in milliseconds. */
  readonly timeout?: number
}

/**
 * Well below the time that a request with a fallback waits for the upstream, so that a queue of the mirror's own is not
 * taken for an upstream that does not answer.
 */
const TIMEOUT = 2_000

/** Slots for questions to upstreams, of which each may have as many connections. */
export function questionSlots(upstreamConnections: number): FairSlots {
  // The other half is for what is not counted here: requests with a fresh proof, and pushes.
  const limit = Math.ceil(upstreamConnections / 2)
  return new FairSlots({ limit, perClient: Math.ceil(limit / 2) })
}

/**
 * Slots that clients share fairly: no client holds more than its quota, and a free slot goes to the next client in turn
 * rather than to the next request, so that a client with many requests delays its own and nobody else's.
 */
export class FairSlots {
  readonly #limit: number
  readonly #perClient: number
  readonly #timeout: number
  readonly #held = new Map<string, number>()
  /** The clients that wait, in the order of their turns, and what gives each of their requests a slot. */
  readonly #queues = new Map<string, Set<() => void>>()
  #inUse = 0

  constructor({ limit, perClient, timeout = TIMEOUT }: FairSlotsOptions) {
    this.#limit = limit
    this.#perClient = perClient
    this.#timeout = timeout
  }

  /** Slots that are held. */
  get inUse(): number {
    return this.#inUse
  }

  /** Requests that wait for a slot. */
  get waiting(): number {
    return [...this.#queues.values()].reduce((sum, { size }) => sum + size, 0)
  }

  /**
   * Resolves with a function that releases the slot; calling it again does nothing. Throws an OciError (503) when no
   * slot becomes free in time, or the signal's reason.
   */
  async acquire(client: string, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted()
    if (this.#isFreeFor(client)) return this.#grant(client)
    return new Promise((resolve, reject) => {
      const queue = this.#queues.get(client) ?? new Set()
      const leave = (): void => {
        queue.delete(grant)
        if (queue.size === 0) this.#queues.delete(client)
        clearTimeout(timer)
        signal.removeEventListener('abort', abort)
      }
      const grant = (): void => {
        leave()
        resolve(this.#grant(client))
      }
      const abort = (): void => {
        leave()
        reject(signal.reason as Error)
      }
      const timer = setTimeout(() => {
        leave()
        reject(overloaded('as many questions for its upstreams'))
      }, this.#timeout)
      signal.addEventListener('abort', abort, { once: true })
      queue.add(grant)
      this.#queues.set(client, queue)
    })
  }

  /** Runs a task that holds a slot. Throws what `acquire` and the task throw. */
  async run<T>(client: string, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    const release = await this.acquire(client, signal)
    try {
      return await task()
    } finally {
      release()
    }
  }

  #isFreeFor(client: string): boolean {
    return this.#inUse < this.#limit && (this.#held.get(client) ?? 0) < this.#perClient
  }

  #grant(client: string): () => void {
    this.#inUse++
    this.#held.set(client, (this.#held.get(client) ?? 0) + 1)
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#release(client)
    }
  }

  #release(client: string): void {
    this.#inUse--
    const held = (this.#held.get(client) ?? 1) - 1
    if (held === 0) this.#held.delete(client)
    else this.#held.set(client, held)
    for (const [next, queue] of this.#queues) {
      if (!this.#isFreeFor(next)) continue
      const [grant] = queue
      // The client's next request waits until the other clients have had their turn.
      this.#queues.delete(next)
      if (queue.size > 1) this.#queues.set(next, queue)
      grant?.()
      return
    }
  }
}
