import type { PasswordCheck } from './access/password-check.js'
import { Budget } from './budget.js'
import type { Config } from './config/schema.js'
import { ConnectionRoom } from './connection-room.js'
import { MAX_MANIFEST_DEPTH } from './oci/manifest-limits.js'
import { MAX_MANIFEST_BYTES } from './oci/media-type.js'
import type { BudgetName, BudgetUse } from './operations/metrics/budgets.js'
import { createRequestBudgets, type RequestBudgets } from './registry/request-share.js'
import type { PoolUse } from './upstream/pools.js'

/** All that a mirror may have at once. */
export interface Budgets {
  readonly connections: ConnectionRoom
  readonly requests: RequestBudgets
  readonly fills: Budget
  /** Connections that were ended for the time that they took. */
  readonly headersTime: Budget
  readonly idleTime: Budget
  /** How all of it is used. */
  use(now: {
    readonly waitingFills: number
    readonly upstreamConnections: readonly PoolUse[]
    readonly passwords: Pick<PasswordCheck, 'limit' | 'waiting' | 'refused'>
  }): Readonly<Record<BudgetName, BudgetUse>>
}

/** `isProxy` tells of an address whether it is one of a trusted proxy now. */
export function createBudgets(limits: Config['limits'], isProxy: (address: string) => boolean): Budgets {
  const manifestMemory = new Budget(limits.maxManifestMemory)
  const connections = new ConnectionRoom({ ...limits, isShared: isProxy })
  const requests = createRequestBudgets({
    maxRequests: limits.maxRequests,
    manifestMemory,
    maxManifest: MAX_MANIFEST_BYTES,
    maxManifestDepth: MAX_MANIFEST_DEPTH,
  })
  const fills = new Budget(limits.maxFills)
  const headersTime = new Budget(limits.headersTimeout / 1000)
  const idleTime = new Budget(limits.idleTimeout / 1000)
  return {
    connections,
    requests,
    fills,
    headersTime,
    idleTime,
    use: ({ waitingFills, upstreamConnections, passwords }) => ({
      connections: used(connections.all),
      connections_per_address: used(connections.perAddress),
      requests: used(requests.requests),
      misses: used(requests.misses),
      fills: { ...used(fills), waiting: waitingFills },
      upstream_connections: {
        limit: limits.maxUpstreamConnections,
        inUse: Math.max(0, ...upstreamConnections.map(each => each.connections)),
        waiting: upstreamConnections.reduce((sum, { waiting }) => sum + waiting, 0),
      },
      manifest_memory: used(manifestMemory),
      manifest_size: bound(requests.manifestSize),
      manifest_depth: bound(requests.manifestDepth),
      headers_time: bound(headersTime),
      idle_time: bound(idleTime),
      ranges: bound(requests.ranges),
      passwords: { limit: passwords.limit, inUse: passwords.waiting, refusals: passwords.refused },
    }),
  }
}

function used({ limit, inUse, refusals }: Pick<Budget, 'limit' | 'inUse' | 'refusals'>): BudgetUse {
  return { limit, inUse, refusals }
}

/** Of what each single one may have, nothing is used up. */
function bound({ limit, refusals }: Budget): BudgetUse {
  return { limit, refusals }
}
