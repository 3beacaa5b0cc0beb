/** `npm run bench`: the mirror side by side with what would be used in its place. */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { chartOf } from './chart.js'
import { run } from './run.js'
import { tableOf } from './table.js'

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

const report = await run({
  quick: values.quick,
  rounds: Number(values.rounds ?? (values.quick ? 1 : 5)),
  node: values.node.split(' '),
  only: values.case,
  onProgress: text => console.error(text),
  signal: interrupted.signal,
})
console.log(tableOf(report))
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, undefined, 2)}\n`)
if (values.chart !== undefined) await writeFile(values.chart, chartOf(report))
