import Fastify from 'fastify'
import t from 'tap'
import {
  budgetMetrics,
  BUDGETS,
  type BudgetName,
  type BudgetUse,
} from '../../../src/operations/metrics/budgets.js'
import { createMetrics, metricsEndpoint } from '../../../src/operations/metrics.js'

t.test('every budget has its lines, of now, and each mirror its own numbers', async t => {
  const uses = Object.fromEntries(BUDGETS.map(name => [name, { limit: 5 }])) as Record<BudgetName, BudgetUse>
  uses.requests = { limit: 7, inUse: 2, refusals: 3 }
  uses.fills = { limit: 9, inUse: 9, waiting: 4, refusals: 0 }
  const app = Fastify()
  t.teardown(() => app.close())
  const metrics = createMetrics()
  budgetMetrics(metrics, () => uses)
  budgetMetrics(createMetrics(), () => uses)
  metricsEndpoint(app, metrics)
  const told = async (): Promise<string[]> => {
    const answer = await app.inject({ url: '/metrics' })
    t.match(answer.headers['content-type'], /^text\/plain; version=0\.0\.4/)
    return answer.body.split('\n').filter(line => line.startsWith('ecr_mirror_'))
  }
  const limits = (await told()).filter(line => line.includes('_limit{'))
  t.same(limits.length, BUDGETS.length)
  const others = (lines: string[]): string[] => lines.filter(line => !line.includes('_limit{'))
  t.same(others(await told()), [
    'ecr_mirror_budget_in_use{budget="requests"} 2',
    'ecr_mirror_budget_in_use{budget="fills"} 9',
    'ecr_mirror_budget_waiting{budget="fills"} 4',
    'ecr_mirror_budget_refusals_total{budget="requests"} 3',
    'ecr_mirror_budget_refusals_total{budget="fills"} 0',
  ])
  uses.requests = { limit: 7, inUse: 1, refusals: 4 }
  t.match(others(await told()), [
    'ecr_mirror_budget_in_use{budget="requests"} 1',
    'ecr_mirror_budget_in_use{budget="fills"} 9',
    'ecr_mirror_budget_waiting{budget="fills"} 4',
    'ecr_mirror_budget_refusals_total{budget="requests"} 4',
  ])
})
