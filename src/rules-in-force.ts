import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Rules } from './registry/exchange.js'
import { onceOver } from './registry/once-over.js'
import { closeAll, type MadeRules } from './rules.js'

/** The rules for new requests, and those before them that requests in flight still go by. */
export interface RulesInForce {
  readonly current: MadeRules
  /** The current rules, for a request that holds on to them until it is over. */
  take(request: IncomingMessage, response: ServerResponse): Rules
  /** Puts others in force. The upstreams of the old ones close with the last request that goes by them. */
  replace(fresh: MadeRules): void
  /** Closes every upstream, whoever still uses it. */
  close(): Promise<void>
}

export function createRulesInForce(first: MadeRules): RulesInForce {
  let current = first
  let closed = false
  const requests = new Map<MadeRules, number>([[first, 0]])

  function count(made: MadeRules, change: number): void {
    const left = (requests.get(made) ?? 0) + change
    if (requests.has(made)) requests.set(made, left)
    if (left === 0 && made !== current) void end(made)
  }

  async function end(made: MadeRules): Promise<void> {
    if (requests.delete(made)) await closeAll(made.upstreams)
  }

  return {
    get current() {
      return current
    },
    take(request, response) {
      const taken = current
      count(taken, 1)
      onceOver(request, response, () => count(taken, -1))
      return taken.rules
    },
    replace(fresh) {
      // A reload that was under way when the mirror began to end.
      if (closed) return void closeAll(fresh.upstreams)
      const before = current
      current = fresh
      requests.set(fresh, 0)
      count(before, 0)
    },
    async close() {
      closed = true
      await Promise.all([...requests.keys()].map(end))
    },
  }
}
