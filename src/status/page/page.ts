import { VERSION } from '../../version.js'
import type { ImageQuery } from '../image-page.js'
import type { StatusView } from '../view.js'
import { chart } from './chart.js'
import { connect } from './connect.js'
import { disk } from './disk.js'
import { downloads } from './downloads.js'
import { errors } from './errors.js'
import { html, Html } from './html.js'
import { imageRows, images } from './images.js'
import { numbers } from './numbers.js'
import { SCRIPT } from './script.js'
import { STYLE } from './style.js'
import { largest, mostWanted } from './top-lists.js'
import { upstreams } from './upstreams.js'
import { counted, span } from './words.js'

export interface PageOptions {
  readonly view: StatusView
  readonly query: ImageQuery
  /** Where clients find the mirror. */
  readonly mirrorUrl: string
}

/** The whole page. */
export function page({ view, query, mirrorUrl }: PageOptions): string {
  const { host } = new URL(mirrorUrl)
  const [example] = view.wanted
  return document(
    'ecr-mirror status',
    html`<header class="top">
        <h1>ecr-mirror</h1>
        ${summary(view)}
        <p id="live" role="status" data-state="still"><noscript>Reload for new numbers</noscript></p>
        <p class="who">
          ${view.user === undefined ? html`<a class="button" href="status?login">Log in</a>` : html`<span>${view.user}</span>`}
        </p>
      </header>
      <main>
        ${numbers(view)} ${chart(view)}
        <div class="pair">${downloads(view)}${upstreams(view)}</div>
        <div class="pair">${mostWanted(view)}${largest(view)}</div>
        ${images(view, query, host)}
        <div class="pair">${disk(view)}${errors(view)}</div>
        ${connect({ url: mirrorUrl, user: view.user, image: example?.name })}
      </main>
      ${inline('script', SCRIPT)}`,
  )
}

/** What of the page is renewed while it is looked at. */
export function livePart({ view, mirrorUrl }: PageOptions): string {
  const { host } = new URL(mirrorUrl)
  return html`${summary(view)}${numbers(view)}${chart(view)}${downloads(view)}${upstreams(view)}${mostWanted(view)}${largest(view)}${imageRows(view, host)}${disk(view)}${errors(view)}`.toString()
}

/** A page of one sentence, such as for a login that was not accepted. */
export function notePage(title: string, text: string): string {
  return document(
    title,
    html`<header class="top"><h1>ecr-mirror</h1></header>
      <main>
        <section>
          <h2>${title}</h2>
          <p>${text}</p>
          <p><a href="status">To the status page</a></p>
        </section>
      </main>`,
  )
}

function summary({ now, since, draining, inFlight, user, seesNames }: StatusView): Html {
  const { requests, connections } = inFlight
  return html`<p id="summary" class="summary" data-live>
    ${draining ? html`<span class="state bad">draining</span>` : html`<span class="state good">running</span>`}
    for ${span(now - since)}, version ${VERSION}; ${counted(requests, 'request')} in flight,
    ${counted(connections, 'connection')}${
      user !== undefined &&
      !seesNames &&
      html`. <span class="warn">${user} has no <code>status</code> grant, so no names are shown.</span>`
    }
  </p>`
}

/** A box with a mark of what has arrived in it, so that the browser asks for no other picture. */
const ICON =
  'data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 viewBox=%220 0 16 16%22%3E%3Crect width=%2216%22 height=%2216%22 rx=%223%22 fill=%22%230f766e%22/%3E%3Cpath d=%22M3 11h10M3 8h7M3 5h4%22 stroke=%22%23fff%22 stroke-width=%221.6%22/%3E%3C/svg%3E'

/** To the letter, since the browser compares its hash. */
function inline(tag: 'style' | 'script', text: string): Html {
  return new Html(`<${tag}>${text}</${tag}>`)
}

function document(title: string, body: Html): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="robots" content="noindex" />
        <title>${title}</title>
        <link rel="icon" href="${new Html(ICON)}" />
        ${inline('style', STYLE)}
      </head>
      <body>
        ${body}
      </body>
    </html> `.toString()
}
