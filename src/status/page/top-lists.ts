import { inUnits } from '../../commands/in-units.js'
import type { StatusView } from '../view.js'
import { html, type Content, type Html } from './html.js'
import { count } from './words.js'

interface Line {
  readonly name: string
  readonly value: number
  readonly text: string
}

export function mostWanted({ wanted, seesNames }: StatusView): Html {
  const lines = wanted.map(({ name, times }) => ({ name, value: times, text: count(times) }))
  const nothing = seesNames ? 'No image was asked for since the start.' : hidden()
  return list('wanted', 'Most wanted', 'times asked for', lines, nothing)
}

export function largest({ largest: images, seesNames }: StatusView): Html {
  const lines = images.map(({ name, size }) => ({ name, value: size, text: inUnits(size) }))
  return list('largest', 'Largest', 'all platforms', lines, seesNames ? 'No image is cached.' : hidden())
}

/** What stands where there would be names. */
export function hidden(): Html {
  return html`Names are shown to users with the <code>status</code> grant.`
}

function list(id: string, title: string, what: string, lines: readonly Line[], nothing: Content): Html {
  const most = Math.max(1, ...lines.map(({ value }) => value))
  return html`<section id="${id}" data-live aria-labelledby="${id}-title">
    <header>
      <h2 id="${id}-title">${title}</h2>
      <p>${lines.length > 0 && what}</p>
    </header>
    ${lines.length === 0 && html`<p class="nothing">${nothing}</p>`}
    <ol class="ranks">
      ${lines.map(
        ({ name, value, text }) =>
          html`<li>
            <span class="name" title="${name}">${name}</span><span class="amount">${text}</span
            ><svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
              <rect width="${((value / most) * 100).toFixed(2)}" height="1" />
            </svg>
          </li>`,
      )}
    </ol>
  </section>`
}
