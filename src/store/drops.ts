import { LRUCache } from 'lru-cache'

/** Drops that are remembered one by one; for older ones it is assumed that everything was dropped. */
const MAX_KEYS = 10_000

/**
 * Remembers when what was known under a key was dropped, so that what was learnt before cannot come back: neither
 * what is kept somewhere, nor an answer that was under way. Its time is the number of drops so far. Bounded: what it
 * has forgotten costs a question to the upstream, and never lets anything old through.
 */
export class Drops {
  #now = 0
  #floor = 0
  readonly #last: LRUCache<string, number>

  constructor(max = MAX_KEYS) {
    this.#last = new LRUCache<string, number>({
      // By size, since a cache by `max` takes the memory for all of them at once.
      maxSize: max,
      sizeCalculation: () => 1,
      dispose: (at, _key, reason) => {
        if (reason === 'evict') this.#floor = Math.max(this.#floor, at)
      },
    })
  }

  /** The present moment; to be taken before the upstream is asked. */
  get now(): number {
    return this.#now
  }

  drop(key: string): void {
    this.#now++
    this.#last.set(key, this.#now)
  }

  /** The moment of the last drop of a key, as far as is known. */
  last(key: string): number {
    return this.#last.get(key) ?? this.#floor
  }

  /** Whether nothing was dropped under the keys since `moment`. */
  holds(moment: number, ...keys: readonly string[]): boolean {
    return keys.every(key => moment >= this.last(key))
  }
}
