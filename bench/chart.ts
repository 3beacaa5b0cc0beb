import { judge } from './judge.js'
import type { Report } from './report.js'
import { short } from './table.js'

interface Line {
  readonly title: string
  /** How many times as good as the bar asks. */
  readonly score: number
  readonly text: string
}

const [WIDTH, LEFT, RIGHT, LINE, TOP] = [1020, 530, 70, 22, 56]
/** What lies beyond is drawn as if it were there. */
const MOST = 8

/** The bars of a report as SVG: how far each one is met, on a logarithmic scale on which 1 is the bar itself. */
export function chartOf({ cases, machine, started }: Report): string {
  const lines = cases.flatMap(({ title, rows }) =>
    rows.flatMap(row =>
      row.bars.flatMap((bar): Line[] => {
        const verdict = judge(row, bar)
        if (!verdict) return []
        const value = Math.max(verdict.value, Number.EPSILON)
        const score = 'atLeast' in bar ? value / bar.atLeast : bar.atMost / value
        const other = 'against' in bar ? ` against ${bar.against}` : 'over' in bar ? ` over ${bar.over}` : ''
        return [{ title: `${title}: ${row.name}${other}`, score, text: `${short(score)}×` }]
      }),
    ),
  )
  const height = TOP + lines.length * LINE + 16
  const middle = LEFT + xOf(1)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
<text x="12" y="20" font-size="14">How many times as good as its bar (the line at 1) each figure of the mirror is; longer is better</text>
<text x="12" y="38" fill="#666">${escaped(`${started.slice(0, 10)}, ${machine}`)}</text>
${lines.map(bar).join('\n')}
<line x1="${middle}" x2="${middle}" y1="${TOP - 8}" y2="${height - 8}" stroke="#222"/>
</svg>
`
}

function bar({ title, score, text }: Line, index: number): string {
  const y = TOP + index * LINE
  const width = xOf(score)
  const colour = score >= 1 ? '#2a7' : '#c43'
  return `<text x="${LEFT - 8}" y="${y + 12}" text-anchor="end">${escaped(title)}</text>
<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${LINE - 6}" fill="${colour}"/>
<text x="${(LEFT + width + 6).toFixed(1)}" y="${y + 12}">${text}</text>`
}

/** From 1/MOST at the left to MOST at the right. */
function xOf(score: number): number {
  const held = Math.min(MOST, Math.max(1 / MOST, score))
  return ((WIDTH - LEFT - RIGHT) * (Math.log(held) + Math.log(MOST))) / (2 * Math.log(MOST))
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
