import t from 'tap'
import type { Bar, Row } from '../../bench/case.js'
import { chartOf } from '../../bench/chart.js'
import { judge } from '../../bench/judge.js'
import type { Report } from '../../bench/report.js'
import { median } from '../../bench/statistics.js'
import { tableOf } from '../../bench/table.js'

const rowOf = (...bars: Bar[]): Row => ({
  name: 'time',
  unit: 's',
  samples: { mirror: [9, 2, 1], distribution: [4, 4, 4], straight: [1] },
  bars,
})
const reportOf = (row: Row, quick = false): Report => ({
  started: '2026-11-26T00:00:00.000Z',
  rounds: 3,
  quick,
  machine: '2 × <CPU>',
  versions: ['nginx/1.22.1'],
  cases: [
    {
      name: 'case',
      title: 'A case',
      servers: ['mirror', 'distribution', 'nginx apr1', 'straight'],
      rows: [row],
      skipped: ['nginx is not installed'],
    },
  ],
})

t.test('the median is the middle one, or between the two in the middle', async t => {
  t.equal(median([9, 2, 1]), 2)
  t.equal(median([1, 10, 3, 5]), 4)
  t.equal(median([7]), 7)
})

t.test('a bar is judged by medians', async t => {
  const verdict = (bar: Bar) => judge(rowOf(), bar)
  t.match(verdict({ against: 'distribution', atMost: 0.5 }), { value: 0.5, met: true })
  t.match(verdict({ against: 'distribution', atMost: 0.49 }), { met: false })
  t.match(verdict({ against: 'straight', atLeast: 2 }), { value: 2, met: true })
  t.match(verdict({ against: 'straight', atLeast: 2.1 }), { met: false })
  t.match(verdict({ over: 'straight', atMost: 1 }), { value: 1, met: true })
  t.match(verdict({ over: 'straight', atMost: 0.9 }), { met: false })
  t.match(verdict({ atMost: 2 }), { value: 2, met: true })
  t.match(verdict({ atMost: 1.9 }), { met: false })
  t.equal(verdict({ against: 'nginx apr1', atMost: 1 }), undefined, 'not against what did not run')
})

t.test('a bar that is missed says what stands in the way, and one that is met does not', async t => {
  const hurdle = 'a slow road'
  t.match(tableOf(reportOf(rowOf({ atMost: 1, hurdle }))), '≤ 1 s: **missed**, 2, by 100 % (a slow road)')
  t.notMatch(tableOf(reportOf(rowOf({ atMost: 2, hurdle }))), 'road')
})

t.test('the table has medians, ratios, what became of each bar, and what did not run', async t => {
  const table = tableOf(
    reportOf(
      rowOf({ against: 'distribution', atMost: 0.4 }, { atMost: 2 }, { against: 'nginx apr1', atLeast: 3 }),
    ),
  )
  const lines = table.split('\n').filter(line => line.startsWith('|'))
  t.same(
    lines[0]
      ?.split('|')
      .map(cell => cell.trim())
      .slice(2, -1),
    [...['mirror', 'distribution', 'nginx apr1', 'straight', 'bar']],
  )
  t.same(
    lines[2]
      ?.split('|')
      .map(cell => cell.trim())
      .slice(1, -1),
    [
      ...['time, s', '2', '4 (0.5×)', '–', '1 (2×)'],
      '≤ 0.4× distribution: **missed**, 0.5, by 25 %; ≤ 2 s: met, 2; ≥ 3× nginx apr1: not measured',
    ],
  )
  t.equal(new Set(lines.map(line => line.length)).size, 1, 'its columns are straight')
  t.match(table, 'Not run: nginx is not installed.')
})

t.test('nothing is judged where nothing was measured', async t => {
  t.notMatch(tableOf(reportOf(rowOf({ atMost: 1 }), true)), /met|missed/)
})

t.test('the chart has a line for each bar that was judged, the longer the better', async t => {
  const chart = chartOf(
    reportOf(
      rowOf(
        { against: 'distribution', atMost: 1 },
        { against: 'straight', atLeast: 4 },
        { against: 'nginx apr1', atMost: 1 },
      ),
    ),
  )
  t.match(chart, '2 × &lt;CPU>')
  const widths = [...chart.matchAll(/<rect x="\d+" y="\d+" width="([\d.]+)"[^>]* fill="(#\w+)"/g)]
  t.same(
    widths.map(([, , colour]) => colour),
    ['#2a7', '#c43'],
  )
  const [met = 0, missed = 0] = widths.map(([, width]) => Number(width))
  t.ok(met > missed)
})
