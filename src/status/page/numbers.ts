import { inUnits } from '../../commands/in-units.js'
import type { Period, StatusView } from '../view.js'
import { html, type Html } from './html.js'
import { count, dollars, percent, span } from './words.js'

const HOUR = 3_600_000

/** One number of the last hour, large, and the same of the last day below it. */
interface Tile {
  readonly name: string
  readonly of: (period: Period) => string
}

const TILES: readonly Tile[] = [
  { name: 'Hit rate', of: ({ hitRate }) => (hitRate === undefined ? '–' : percent(hitRate)) },
  { name: 'Saved', of: ({ saved }) => inUnits(saved) },
  { name: 'Served', of: ({ traffic }) => inUnits(traffic.served) },
  { name: 'From ECR', of: ({ traffic }) => inUnits(traffic.fetched) },
  { name: 'Requests', of: ({ traffic }) => count(traffic.requests) },
  { name: 'Errors', of: ({ traffic }) => count(traffic.errors) },
]

/** Told where somebody has said what a transfer costs. */
const MONEY: Tile = { name: 'Saved money', of: ({ money = 0 }) => dollars(money) }

/** The numbers of the last hour and day. */
export function numbers({ hour, day, now, since }: StatusView): Html {
  const tiles = day.money === undefined ? TILES : [...TILES.slice(0, 2), MONEY, ...TILES.slice(2)]
  const hourSpan = span(Math.min(HOUR, now - since))
  const daySpan = span(Math.min(24 * HOUR, now - since))
  const title = `Last ${hourSpan === '1 h' ? 'hour' : hourSpan}, and below it the last ${daySpan === '1 d' ? '24 hours' : daySpan}`
  return html`<section id="numbers" data-live aria-labelledby="numbers-title">
    <h2 id="numbers-title" class="quiet">${title}</h2>
    <dl class="tiles">
      ${tiles.map(
        ({ name, of }) =>
          html`<div class="tile">
            <dt>${name}</dt>
            <dd class="figure">${of(hour)}</dd>
            <dd class="day"><span class="sr">In the last ${daySpan}: </span>${of(day)}</dd>
          </div>`,
      )}
    </dl>
  </section>`
}
