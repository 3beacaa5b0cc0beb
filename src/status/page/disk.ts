import { inUnits } from '../../commands/in-units.js'
import type { ScrubState } from '../../store/scrub.js'
import type { StatusView } from '../view.js'
import { html, type Content, type Html } from './html.js'
import { ago, count, counted, percent } from './words.js'

/** The disk that the cache is on. */
export function disk({ disk: stats, scrub, now }: StatusView): Html {
  return html`<section id="disk" data-live aria-labelledby="disk-title">
    <header>
      <h2 id="disk-title">Disk</h2>
      <p>${stats && percent(stats.bytes / stats.maxBytes)}</p>
    </header>
    ${stats ? details() : html`<p class="nothing">There is no cache.</p>`}
  </section>`

  function details(): Html | undefined {
    if (!stats) return undefined
    const { bytes, maxBytes, entries, freeBytes, evictions, evictedBytes, reservedBytes, indexed } = stats
    const { integrityFailures, readErrors, writeErrors, writePaused } = stats
    const facts: readonly (readonly [string, Content])[] = [
      ['Blobs', `${count(entries)}${indexed ? '' : ' so far'}`],
      ['On their way in', inUnits(reservedBytes)],
      ['Free on the disk', freeBytes === undefined ? 'unknown' : inUnits(freeBytes)],
      ['Evicted since the start', evictions === 0 ? 'none' : `${count(evictions)}, ${inUnits(evictedBytes)}`],
      ['Found bad', count(integrityFailures)],
      ['Read and write errors', `${count(readErrors)} and ${count(writeErrors)}`],
      ...(scrub ? [['Hashed again', scrubText(scrub)] as const] : []),
    ]
    return html`<div class="line"><span id="disk-label">${inUnits(bytes)} of ${inUnits(maxBytes)}</span></div>
      <progress
        aria-labelledby="disk-label"
        max="${Math.max(1, maxBytes)}"
        value="${Math.min(bytes, maxBytes)}"
      ></progress>
      ${writePaused !== undefined && html`<p class="state bad">Nothing is written for now: ${writePaused}</p>`}
      <dl class="pairs">
        ${facts.map(
          ([name, value]) =>
            html`<div>
              <dt>${name}</dt>
              <dd>${value}</dd>
            </div>`,
        )}
      </dl>`
  }
  function scrubText({ blobs, running, ended }: ScrubState): string {
    if (running) return `${counted(blobs, 'blob')} so far`
    return ended === undefined ? 'not yet' : `${counted(blobs, 'blob')}, ${ago(now - ended)}`
  }
}
