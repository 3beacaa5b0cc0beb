import type { Metrics } from '../metrics.js'
import { counter, gauge, type Read, type Sample } from './read.js'

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

/** The use of all budgets, asked for whenever the numbers are. */
export function budgetMetrics(metrics: Metrics, uses: () => Readonly<Record<BudgetName, BudgetUse>>): void {
  const described = (name: string, help: string, of: (use: BudgetUse) => number | undefined): Read => ({
    name: `budget_${name}`,
    help,
    labels: ['budget'],
    read: () => {
      const now = uses()
      return BUDGETS.flatMap((budget): Sample[] => {
        const value = of(now[budget])
        return value === undefined ? [] : [[{ budget }, value]]
      })
    },
  })
  gauge(
    metrics,
    described('limit', 'How much there may be of it.', use => use.limit),
  )
  gauge(
    metrics,
    described('in_use', 'How much there is of it.', use => use.inUse),
  )
  gauge(
    metrics,
    described('waiting', 'What waits for a part of it.', use => use.waiting),
  )
  counter(
    metrics,
    described('refusals_total', 'What was refused or ended for want of it.', use => use.refusals),
  )
}
