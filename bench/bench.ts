/** `npm run bench`: the mirror side by side with what would be used in its place. */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { chartOf } from './chart.js'
import type { Report } from './report.js'
import { run } from './run.js'
import { caseTable, headingOf } from './table.js'

const { values } = parseArgs({
  options: {
    case: { type: 'string', multiple: true, default: [] },
    rounds: { type: 'string' },
    node: { type: 'string', default: process.execPath },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    chart: { type: 'string' },
  },
})

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => interrupted.abort(new Error(`Ended by ${signal}`)))

let isFirst = true
/** Said and written case by case, so that a run that is ended early was not for nothing. */
function tell(report: Report): void {
  const { cases, quick } = report
  const last = cases.at(-1)
  if (isFirst) console.log(headingOf(report))
  if (last) console.log(caseTable(last, quick))
  isFirst = false
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, undefined, 2)}\n`)
  if (values.chart !== undefined) writeFileSync(values.chart, chartOf(report))
}

await run({
  quick: values.quick,
  rounds: Number(values.rounds ?? (values.quick ? 1 : 5)),
  node: values.node.split(' '),
  only: values.case,
  onProgress: text => console.error(text),
  onCase: tell,
  signal: interrupted.signal,
})
