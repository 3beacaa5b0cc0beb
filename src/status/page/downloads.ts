import { inUnits } from '../../commands/in-units.js'
import type { DownloadRow, StatusView } from '../view.js'
import { html, type Html } from './html.js'
import { counted, shortDigest } from './words.js'

/** Rows; a cold cluster that starts may begin hundreds. */
const MOST = 8

/** What is being fetched into the cache, with a bar each. */
export function downloads({ downloads: all }: StatusView): Html {
  const shown = all.slice(0, MOST)
  return html`<section id="downloads" data-live aria-labelledby="downloads-title">
    <header>
      <h2 id="downloads-title">Downloads</h2>
      <p>${all.length > 0 ? counted(all.length, 'layer') : ''}</p>
    </header>
    ${
      all.length === 0
        ? html`<p class="nothing">Nothing is being fetched.</p>`
        : html`<ul class="bars">
            ${shown.map(row)}
          </ul>`
    }
    ${all.length > MOST && html`<p class="more">and ${all.length - MOST} more</p>`}
  </section>`
}

function row({ named, size, received, readers }: DownloadRow, index: number): Html {
  const label = named?.repositories.join(', ') ?? 'A layer'
  const id = `download-${index}`
  return html`<li>
    <div class="line">
      <span class="name" id="${id}"
        >${label}${named && html` <code title="${named.digest}">${shortDigest(named.digest)}</code>`}</span
      ><span class="amount">${inUnits(received)}${size !== undefined && html` of ${inUnits(size)}`}</span>
    </div>
    <progress
      aria-labelledby="${id}"
      ${size !== undefined && html`max="${Math.max(1, size)}" value="${received}"`}
    ></progress>
    <p class="note">${counted(readers, 'client')} ${readers === 1 ? 'waits' : 'wait'} for it</p>
  </li>`
}
