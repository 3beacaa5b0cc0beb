import type { Bar, Row } from './case.js'
import { judge, medianOf } from './judge.js'
import type { CaseReport, Report } from './report.js'
import type { ServerName } from './servers/server.js'

/** The report as Markdown that can be read as it is. */
export function tableOf(report: Report): string {
  const { cases, quick } = report
  return [headingOf(report), ...cases.map(each => caseTable(each, quick))].join('\n')
}

/** When and where it was measured. */
export function headingOf({ started, rounds, machine, versions }: Report): string {
  return `${started.slice(0, 10)}, medians of ${rounds}. ${machine}. ${versions.join('; ')}.
In parentheses: the mirror as a multiple of that server.
`
}

/** The part of one case; with `quick` no figure means anything, and bars are left out. */
export function caseTable({ title, rows, servers, skipped }: CaseReport, quick: boolean): string {
  const header = ['', ...servers, ...(quick ? [] : ['bar'])]
  const lines = rows.map(row => [
    `${row.name}, ${row.unit}`,
    ...servers.map(server => cell(row, server)),
    ...(quick ? [] : [row.bars.map(bar => verdictOf(row, bar)).join('; ')]),
  ])
  const notes = skipped.map(reason => `\nNot run: ${reason}.`)
  const table = rows.length > 0 ? aligned([header, ...lines]) : []
  return [`### ${title}`, '', ...table, ...notes, ''].join('\n')
}

function cell(row: Row, server: ServerName): string {
  const value = medianOf(row, server)
  if (value === undefined) return '–'
  const ratio = (medianOf(row, 'mirror') ?? NaN) / value
  return server === 'mirror' || !Number.isFinite(ratio) ? short(value) : `${short(value)} (${short(ratio)}×)`
}

function verdictOf(row: Row, bar: Bar): string {
  const verdict = judge(row, bar)
  const wanted = describe(bar, row.unit)
  if (!verdict) return `${wanted}: not measured`
  const { value, met } = verdict
  if (met) return `${wanted}: met, ${short(value)}`
  const limit = 'atLeast' in bar ? bar.atLeast : bar.atMost
  const by = `${Math.round(Math.abs(value / limit - 1) * 100)} %`
  return `${wanted}: **missed**, ${short(value)}, by ${by}${bar.hurdle === undefined ? '' : ` (${bar.hurdle})`}`
}

function describe(bar: Bar, unit: string): string {
  if ('over' in bar) return `≤ ${bar.over} + ${short(bar.atMost)} ${unit}`
  if (!('against' in bar)) return `≤ ${short(bar.atMost)} ${unit}`
  return 'atLeast' in bar
    ? `≥ ${short(bar.atLeast)}× ${bar.against}`
    : `≤ ${short(bar.atMost)}× ${bar.against}`
}

/** Three digits that count. */
export function short(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))
}

function aligned(lines: readonly (readonly string[])[]): string[] {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(3, ...lines.map(line => line[column]?.length ?? 0)),
  )
  const text = lines.map(
    line => `| ${line.map((each, column) => each.padEnd(widths[column] ?? 0)).join(' | ')} |`,
  )
  const rule = `|${widths.map(width => '-'.repeat(width + 2)).join('|')}|`
  return [text[0] ?? '', rule, ...text.slice(1)]
}
