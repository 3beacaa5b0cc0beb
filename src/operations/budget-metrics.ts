import { Counter, Gauge } from '@prometheus-io/client'
import type { Metrics } from './metrics.js'

/**
 * What is bounded: the label `budget` has these values and no others. Sizes are in bytes, times in seconds; of
 * `connections_per_address` and `upstream_connections`, that of the address or host with the most is told.
 */
export const BUDGETS = [
  'connections',
  'connections_per_address',
  'requests',
  'misses',
  'fills',
  'upstream_connections',
  'manifest_memory',
  'manifest_size',
  'manifest_depth',
  'headers_time',
  'idle_time',
  'ranges',
  'passwords',
] as const

export type BudgetName = (typeof BUDGETS)[number]

export interface BudgetUse {
  readonly limit: number
  /** Undefined where there is nothing that is used up, such as a size that each single one may have. */
  readonly inUse?: number
  /** What waits for a part of it; undefined where nothing does. */
  readonly waiting?: number
  /** What was refused or ended for want of it, since the start; undefined where all wait. */
  readonly refusals?: number
}

const NAME = 'ecr_mirror_budget'

/** The use of all budgets, asked for whenever the numbers are. */
export function budgetMetrics(metrics: Metrics, uses: () => Readonly<Record<BudgetName, BudgetUse>>): void {
  const common = { labelNames: ['budget'] as const, registers: [metrics] }
  const gauge = (name: string, help: string, of: (use: BudgetUse) => number | undefined): void => {
    new Gauge({
      ...common,
      name: `${NAME}_${name}`,
      help,
      collect() {
        const now = uses()
        for (const budget of BUDGETS) {
          const value = of(now[budget])
          if (value !== undefined) this.set({ budget }, value)
        }
      },
    })
  }
  gauge('limit', 'How much there may be of it.', use => use.limit)
  gauge('in_use', 'How much there is of it.', use => use.inUse)
  gauge('waiting', 'What waits for a part of it.', use => use.waiting)
  new Counter({
    ...common,
    name: `${NAME}_refusals_total`,
    help: 'What was refused or ended for want of it.',
    collect() {
      const now = uses()
      this.reset()
      for (const budget of BUDGETS) {
        const { refusals } = now[budget]
        if (refusals !== undefined) this.inc({ budget }, refusals)
      }
    },
  })
}
