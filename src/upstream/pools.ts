import { Pool } from 'undici'

/** The connections of one origin. */
export interface PoolUse {
  readonly connections: number
  /** Requests that wait for one. */
  readonly waiting: number
}

/** Makes the pools of a dispatcher, one for each origin, and can tell how they are used. */
export class Pools {
  readonly #pools = new Map<string, Pool>()

  /** As undici's agents ask for it. */
  readonly factory = (origin: string | URL, options: object): Pool => {
    const pool = new Pool(origin, options)
    // An origin has one at a time: undici makes another when the last connection of the one before has gone.
    this.#pools.set(String(origin), pool)
    return pool
  }

  use(): PoolUse[] {
    return [...this.#pools.values()].map(({ stats }) => ({
      connections: stats.connected,
      waiting: stats.queued,
    }))
  }
}
