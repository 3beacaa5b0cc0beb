import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { ALERTS_FILE, readAlerts } from './support/alerts.js'
import { startBusyMirror } from './support/busy-mirror.js'
import { marksOf, queriesOf, readDashboard, type Query } from './support/dashboard.js'
import { needsPrometheus, startPrometheus } from './support/prometheus.js'

t.setTimeout(180_000)

t.test(
  'a real Prometheus answers every question of the dashboard, and watches every alert',
  needsPrometheus(),
  async t => {
    const mirror = await startBusyMirror(t)
    const prometheus = await startPrometheus(t, mirror.app.operationsUrl, ALERTS_FILE)

    const dashboard = await readDashboard()
    let left: Query[] = queriesOf(dashboard, '30s')
    t.ok(left.length > 60)
    // A rate needs two scrapes with something in between. What has no answer within many is wrong.
    for (let round = 0; round < 60 && left.length > 0; round++) {
      await mirror.work()
      await pause(500)
      const asked = await Promise.all(
        left.map(async query => ({ query, series: (await prometheus.query(query.expression)).length })),
      )
      left = asked.filter(({ series }) => series === 0).map(({ query }) => query)
    }
    t.same(left, [], 'each has data')
    for (const mark of marksOf(dashboard)) await t.resolves(prometheus.query(mark), mark)

    const alerts = await readAlerts()
    for (const { alert, expr } of alerts) await t.resolves(prometheus.query(expr), alert)
    let rules = await prometheus.rules()
    for (let round = 0; round < 60 && rules.some(({ health }) => health === 'unknown'); round++) {
      await pause(500)
      rules = await prometheus.rules()
    }
    t.same(
      rules.map(({ name, health, lastError }) => ({ name, health, lastError })),
      alerts.map(({ alert }) => ({ name: alert, health: 'ok', lastError: undefined })),
    )
    t.same(
      rules.filter(({ state }) => state === 'firing').map(({ name }) => name),
      [],
      'and a mirror that is well raises none',
    )
  },
)
