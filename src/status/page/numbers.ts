import { inUnits } from '../../commands/in-units.js'
import type { Period, StatusView } from '../view.js'
import { html, type Content, type Html } from './html.js'
import { count, counted, dollars, percent, span } from './words.js'

const HOUR = 3_600_000

/** One number of the last hour, large, and the same of the last day below it. */
interface Tile {
  readonly name: string
  readonly of: (period: Period) => string
  /** Below the day's. */
  readonly note?: Content
}

/** The numbers of the last hour and day. */
export function numbers(view: StatusView): Html {
  const { hour, day, inFlight } = view
  const tiles: readonly Tile[] = [
    { name: 'Hit rate', of: ({ hitRate }) => (hitRate === undefined ? '–' : percent(hitRate)) },
    {
      name: 'Saved',
      of: ({ saved }) => inUnits(saved),
      note:
        day.money !== undefined &&
        html`<span class="money"
          >${dollars(hour.money ?? 0)} in the hour, ${dollars(day.money)} in the day</span
        >`,
    },
    { name: 'Served', of: ({ traffic }) => inUnits(traffic.served) },
    { name: 'From ECR', of: ({ traffic }) => inUnits(traffic.fetched) },
    {
      name: 'Requests',
      of: ({ traffic }) => count(traffic.requests),
      note: html`${counted(inFlight.requests, 'request')} in flight,
      ${counted(inFlight.connections, 'connection')}`,
    },
    { name: 'Errors', of: ({ traffic }) => count(traffic.errors) },
  ]
  const hourSpan = span(Math.min(HOUR, view.now - view.since))
  const daySpan = span(Math.min(24 * HOUR, view.now - view.since))
  return html`<section id="numbers" data-live aria-labelledby="numbers-title">
    <h2 id="numbers-title" class="quiet">
      Last ${hourSpan === '1 h' ? 'hour' : hourSpan}, and below it the last
      ${daySpan === '1 d' ? '24 hours' : daySpan}
    </h2>
    <dl class="tiles">${tiles.map(tile)}</dl>
  </section>`

  function tile({ name, of, note }: Tile): Html {
    return html`<div class="tile">
      <dt>${name}</dt>
      <dd class="figure">${of(hour)}</dd>
      <dd class="day"><span class="sr">In the last ${daySpan}: </span>${of(day)}</dd>
      ${note && html`<dd class="note">${note}</dd>`}
    </div>`
  }
}
