import { inUnits } from '../../commands/in-units.js'
import type { Traffic } from '../minutes.js'
import type { StatusView } from '../view.js'
import { html, type Html } from './html.js'

const HEIGHT = 100
const WIDTH = 10
const DAY = 24 * 3_600_000

/** What was served in the last 24 hours, half an hour a column: from the cache, and what it took from ECR. */
export function chart({ columns, day, now }: StatusView): Html {
  const heights = columns.map(partsOf)
  const most = Math.max(...heights.map(({ cached, fetched }) => cached + fetched))
  const scale = most === 0 ? 0 : HEIGHT / most
  const summary = `In the last 24 hours ${inUnits(day.saved)} came from the cache and ${inUnits(day.traffic.fetched)} from ECR.`
  return html`<section id="chart" data-live aria-labelledby="chart-title">
    <header>
      <h2 id="chart-title">Served in 24 hours</h2>
      <p class="legend">
        <span class="key cached"></span>from the cache <span class="key fetched"></span>fetched from ECR
      </p>
    </header>
    <div class="plot">
      <span class="most">${most > 0 && inUnits(most)}</span>
      <svg
        viewBox="0 0 ${columns.length * WIDTH} ${HEIGHT}"
        preserveAspectRatio="none"
        role="img"
        aria-label="${summary}"
      >
        ${columns.map(column)}
      </svg>
    </div>
    <p class="axis" aria-hidden="true">
      <span>24 h ago</span><span>18 h</span><span>12 h</span><span>6 h</span><span>now</span>
    </p>
  </section>`

  function column(traffic: Traffic, index: number): Html | false {
    const { cached, fetched } = partsOf(traffic)
    if (cached + fetched === 0) return false
    const x = index * WIDTH + 1
    const [top, bottom] = [cached * scale, fetched * scale]
    const time = (at: number): string => new Date(at).toISOString().slice(11, 16)
    const width = DAY / columns.length
    const from = now - DAY + index * width
    const label = `${time(from)} to ${time(from + width)} UTC: ${inUnits(cached)} from the cache, ${inUnits(fetched)} from ECR`
    return html`<g>
      <title>${label}</title>
      <rect class="empty" x="${x}" y="0" width="${WIDTH - 2}" height="${HEIGHT}" />
      <rect
        class="cached"
        x="${x}"
        y="${fixed(HEIGHT - bottom - top)}"
        width="${WIDTH - 2}"
        height="${fixed(top)}"
      />
      <rect
        class="fetched"
        x="${x}"
        y="${fixed(HEIGHT - bottom)}"
        width="${WIDTH - 2}"
        height="${fixed(bottom)}"
      />
    </g>`
  }
}

function partsOf({ served, fetched }: Traffic): { readonly cached: number; readonly fetched: number } {
  return { cached: Math.max(0, served - fetched), fetched }
}

function fixed(value: number): string {
  return value.toFixed(2)
}
