/**
 * Pieces of work that are begun in one turn of the event loop. Each costs about a millisecond in all, so that a turn stays
 * short, and a request of another client, which needs several turns, is answered within a tenth of a second.
 */
const PER_TURN = 8

/**
 * The order in which work for clients is begun, a request or a piece of a blob: a few in each turn of the event loop, and
 * of each client in turn. So hundreds of requests that one client sends at once wait for one another, and hold up its own
 * rather than those of everybody else. Nothing is refused, and nothing waits while there is nothing else to do.
 */
export class FairTurns {
  readonly #perTurn: number
  /** The clients that wait, in the order of their turns, and what begins each piece of their work. */
  readonly #queues = new Map<string, Set<() => void>>()
  #begun = 0
  #isScheduled = false

  constructor(perTurn = PER_TURN) {
    this.#perTurn = perTurn
  }

  /** Pieces of work that wait. */
  get waiting(): number {
    return [...this.#queues.values()].reduce((sum, { size }) => sum + size, 0)
  }

  /**
   * Resolves when the client's work may begin; undefined when it may at once. `gone` gives the signal that aborts when
   * the client has left; its reason is thrown then.
   */
  take(client: string, gone: () => AbortSignal): Promise<void> | undefined {
    this.#schedule()
    if (this.#begun < this.#perTurn && this.#queues.size === 0) {
      this.#begun++
      return undefined
    }
    return this.#wait(client, gone())
  }

  #wait(client: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    return new Promise((resolve, reject) => {
      const queue = this.#queues.get(client) ?? new Set()
      const leave = (): void => {
        signal.removeEventListener('abort', abort)
        queue.delete(begin)
        if (queue.size === 0) this.#queues.delete(client)
      }
      const begin = (): void => {
        leave()
        resolve()
      }
      const abort = (): void => {
        leave()
        reject(signal.reason as Error)
      }
      signal.addEventListener('abort', abort, { once: true })
      queue.add(begin)
      this.#queues.set(client, queue)
    })
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#begun = 0
      while (this.#begun < this.#perTurn && this.#beginNext()) this.#begun++
      if (this.#begun > 0) this.#schedule()
    })
  }

  /** Begins a piece of the client whose turn it is; that client's next one comes after those of all others. */
  #beginNext(): boolean {
    const [next] = this.#queues
    if (!next) return false
    const [client, queue] = next
    this.#queues.delete(client)
    this.#queues.set(client, queue)
    const [begin] = queue
    begin?.()
    return true
  }
}
