import { LRUCache } from 'lru-cache'
import { scopeKey, type Scope } from './scope.js'

/** Repositories that are remembered at most; the ones that were learnt of least lately are taken for unknown first. */
const MAX_REPOSITORIES = 1_000_000

/** Of which repositories anything was learnt since all that was known of them was dropped. */
export class KnownRepositories {
  // By size, since a cache by `max` takes the memory for all of them at once.
  readonly #known = new LRUCache<string, true>({ maxSize: MAX_REPOSITORIES, sizeCalculation: () => 1 })

  add(scope: Scope): void {
    this.#known.set(scopeKey(scope), true)
  }

  delete(scope: Scope): void {
    this.#known.delete(scopeKey(scope))
  }

  has(scope: Scope): boolean {
    return this.#known.has(scopeKey(scope))
  }
}
