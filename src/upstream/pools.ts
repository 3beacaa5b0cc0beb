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
    this.#forgetClosed()
    const pool = new Pool(origin, options)
    this.#pools.set(String(origin), pool)
    return pool
  }

  use(): PoolUse[] {
    this.#forgetClosed()
    return [...this.#pools.values()].map(({ stats }) => ({
      connections: stats.connected,
      waiting: stats.queued,
    }))
  }

  /** undici closes one when its last connection has gone, and makes another when the origin is asked again. */
  #forgetClosed(): void {
    for (const [origin, { closed }] of this.#pools) if (closed) this.#pools.delete(origin)
  }
}
