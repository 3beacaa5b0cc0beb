import t from 'tap'
import { familiesOf } from '../support/told.js'
import { readAlerts } from './support/alerts.js'
import { startBusyMirror } from './support/busy-mirror.js'
import { marksOf, queriesOf, readDashboard } from './support/dashboard.js'
import { metricNames } from './support/promql.js'

t.setTimeout(120_000)

t.test('the names in an expression are found', t => {
  t.same(
    metricNames(
      'sum by (le, type) (rate(a_bucket{b="c", d=~"e f"}[5m])) / g:h > 0.5 and on (job) i or vector(1e3) offset 1d',
    ),
    ['a_bucket', 'g:h', 'i'],
  )
  t.end()
})

t.test(
  'every metric of the dashboard and the alerts is in /metrics, and every one of the mirror on the dashboard',
  async t => {
    const { app } = await startBusyMirror(t)
    const text = await (await fetch(`${app.operationsUrl}/metrics`)).text()
    const families = familiesOf(text)
    const told = new Set(
      families.flatMap(({ name, type }) =>
        type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
      ),
    )
    const dashboard = await readDashboard()
    const shown = new Set(queriesOf(dashboard).flatMap(({ expression }) => metricNames(expression)))
    const watched = [...(await readAlerts()).map(({ expr }) => expr), ...marksOf(dashboard)].flatMap(
      metricNames,
    )
    const others = ['up']
    t.same(
      [...shown, ...watched].filter(name => !told.has(name) && !others.includes(name)),
      [],
      'nothing is shown or watched that there is not',
    )
    const isShown = (name: string): boolean =>
      [name, `${name}_bucket`, `${name}_sum`, `${name}_count`].some(each => shown.has(each))
    t.same(
      families.map(({ name }) => name).filter(name => name.startsWith('ecr_mirror_') && !isShown(name)),
      [],
      'and there is nothing that is not shown',
    )
    t.ok(families.filter(({ name }) => name.startsWith('ecr_mirror_')).length > 45)
  },
)

t.test(
  'its panels lie side by side, say what they show, and ask the data source that was chosen',
  async t => {
    const { panels, templating } = await readDashboard()
    t.same(
      templating.list.map(({ name, type }) => [name, type]),
      [
        ['datasource', 'datasource'],
        ['instance', 'query'],
      ],
    )
    t.ok(panels.length > 40)
    const cells = new Set<string>()
    const overlaps: string[] = []
    for (const { title, gridPos, targets, type } of panels) {
      t.ok(title !== '' && gridPos.x + gridPos.w <= 24, title)
      t.equal(targets.length === 0, type === 'row', title)
      for (const { datasource } of targets) t.equal(datasource.uid, '${datasource}', title)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          if (cells.has(`${x},${y}`)) overlaps.push(title)
          cells.add(`${x},${y}`)
        }
    }
    t.same(overlaps, [])
    for (const { expr } of panels.flatMap(({ targets }) => targets))
      t.match(expr, /instance=~"\$instance"/, 'every question is about the chosen instances')
  },
)
