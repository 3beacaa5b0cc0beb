import type { Budgets } from './budgets.js'
import type { OpenCache } from './open-cache.js'
import type { AuditLog } from './operations/audit-log.js'
import { budgetMetrics } from './operations/metrics/budgets.js'
import type { Metrics } from './operations/metrics.js'
import { auditMetrics } from './operations/metrics/audit.js'
import { diskMetrics, scrubMetrics } from './operations/metrics/cache.js'
import { buildMetrics } from './operations/metrics/process.js'
import { upstreamStateMetrics } from './operations/metrics/registries.js'
import type { RulesInForce } from './rules-in-force.js'
import type { Throttles } from './upstream/throttle.js'
import { VERSION } from './version.js'

export interface MeasuredParts {
  readonly rules: RulesInForce
  /** Undefined without a cache. */
  readonly opened: OpenCache | undefined
  readonly budgets: Budgets
  readonly throttles: Throttles
  readonly audit: AuditLog
  /** The version of Node.js. */
  readonly node: string
}

/** What is not counted as it happens, but looked up in the mirror's parts whenever somebody asks. */
export function stateMetrics(
  metrics: Metrics,
  { rules, opened, budgets, throttles, audit, node }: MeasuredParts,
): void {
  buildMetrics(metrics, { version: VERSION, node })
  upstreamStateMetrics(metrics, () =>
    rules.current.upstreams.map(({ name, ecr, tokens, reachability }) => ({
      name,
      token: tokens.state(),
      awayFor: reachability.awayFor,
      throttled: throttles.waiting(ecr.host),
    })),
  )
  if (opened) diskMetrics(metrics, () => opened.store.stats())
  const scrub = opened?.scrub
  if (scrub) scrubMetrics(metrics, () => scrub.state())
  auditMetrics(metrics, () => audit.state)
  budgetMetrics(metrics, () =>
    budgets.use({
      waitingFills: opened?.cache.blobs.waiting ?? 0,
      upstreamConnections: rules.current.upstreams.flatMap(upstream => upstream.connections()),
      passwords: rules.current.rules.passwords,
    }),
  )
}
