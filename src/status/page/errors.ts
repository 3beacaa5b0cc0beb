import type { ErrorRow, StatusView } from '../view.js'
import { html, type Html } from './html.js'
import { ago, count } from './words.js'

/** Rows that are shown at once; the others are behind a fold. */
const OPEN = 6

/** What went wrong last. */
export function errors({ errors: all, now }: StatusView): Html {
  return html`<section id="errors" data-live aria-labelledby="errors-title">
    <header><h2 id="errors-title">Recent errors</h2></header>
    ${all.length === 0 && html`<p class="nothing">None since the start.</p>`}
    <ul class="facts">
      ${all.slice(0, OPEN).map(row)}
    </ul>
    ${
      all.length > OPEN &&
      html`<details>
        <summary>${all.length - OPEN} more</summary>
        <ul class="facts">
          ${all.slice(OPEN).map(row)}
        </ul>
      </details>`
    }
  </section>`

  function row({ at, times, what, told }: ErrorRow): Html {
    return html`<li>
      <div class="line">
        <span class="name">${what}${times > 1 && html` <span class="chip">${count(times)} times</span>`}</span
        ><time class="amount" datetime="${new Date(at).toISOString()}" title="${new Date(at).toISOString()}"
          >${ago(now - at)}</time
        >
      </div>
      ${
        told &&
        html`<p class="note">
            ${[told.about, told.user && `asked by ${told.user}`].filter(Boolean).join(', ')}
          </p>
          <p class="text">${told.text}</p>`
      }
    </li>`
  }
}
