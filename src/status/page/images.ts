import { inUnits } from '../../commands/in-units.js'
import { ORDERS, type ImagePage, type ImageQuery, type ImageRow } from '../image-page.js'
import type { StatusView } from '../view.js'
import { html, type Html } from './html.js'
import { hidden } from './top-lists.js'
import { ago, count, counted } from './words.js'

const ORDER_NAMES: Readonly<Record<ImageQuery['sort'], string>> = {
  asked: 'most wanted first',
  size: 'largest first',
  name: 'by name',
}

/** The cached images, with the form to search them, which stays as it is when the rest is renewed. */
export function images(view: StatusView, query: ImageQuery, mirror: string): Html {
  return html`<section id="images" aria-labelledby="images-title">
    <header><h2 id="images-title">Images</h2></header>
    ${
      view.seesNames &&
      html`<form role="search" method="get" action="status" class="search">
        <label
          ><span class="sr">Search images, by words of name, platform or digest</span
          ><input
            type="search"
            name="q"
            value="${query.q}"
            maxlength="200"
            placeholder="Search name, platform, digest"
            autocomplete="off"
            spellcheck="false"
        /></label>
        <label
          ><span class="sr">Order</span
          ><select name="sort">
            ${ORDERS.map(
              order =>
                html`<option value="${order}" ${order === query.sort && html`selected`}>
                  ${ORDER_NAMES[order]}
                </option>`,
            )}
          </select></label
        >
        <button type="submit">Search</button>
      </form>`
    }
    ${imageRows(view, mirror)}
  </section>`
}

/** What of it is renewed. */
export function imageRows(view: StatusView, mirror: string): Html {
  const { images: page, seesNames, disk } = view
  const inside =
    disk === undefined
      ? html`<p class="nothing">There is no cache: everything streams through.</p>`
      : page === undefined
        ? html`<p class="nothing">The cache is being looked through.</p>`
        : seesNames
          ? table(page, view.now, mirror)
          : html`<p class="nothing">
              ${counted(page.all, 'image')}, ${inUnits(page.bytes)} with what they share counted for each.
              ${hidden()}
            </p>`
  return html`<div id="image-rows" data-live>${inside}</div>`
}

function table(page: ImagePage, now: number, mirror: string): Html {
  const { rows, found, seen, leftOut, at } = page
  const what = found === seen ? counted(seen, 'image') : `${count(found)} of ${counted(seen, 'image')}`
  return html`<p class="note">
      ${what}, as of ${ago(now - at)}${leftOut > 0 && `; ${count(leftOut)} more are not listed`}
    </p>
    ${
      rows.length > 0 &&
      html`<table>
        <thead>
          <tr>
            <th scope="col">Image</th>
            <th scope="col" class="wide">Platforms</th>
            <th scope="col" class="number">Size</th>
            <th scope="col" class="number wide">Asked for</th>
            <th scope="col" class="wide">Without ECR</th>
            <th scope="col" class="wide"><span class="sr">Copy</span></th>
          </tr>
        </thead>
        <tbody>
          ${rows.map(image => row(image, mirror))}
        </tbody>
      </table>`
    }
    ${pager(page)}`
}

const COMPLETE: Readonly<Record<ImageRow['complete'], string>> = {
  all: 'complete',
  some: 'some platforms',
  none: 'incomplete',
}

function row({ name, digest, platforms, size, asked, complete }: ImageRow, mirror: string): Html {
  return html`<tr>
    <th scope="row">
      <span class="name" title="${digest}">${name}</span
      ><span class="narrow"
        >${[platforms.join(', '), COMPLETE[complete], `asked for ${counted(asked, 'time')}`].filter(Boolean).join(' · ')}</span
      >
    </th>
    <td class="wide">${platforms.map(each => html`<span class="chip">${each}</span> `)}</td>
    <td class="number">${inUnits(size)}</td>
    <td class="number wide">${count(asked)}</td>
    <td class="wide">
      <span class="state ${complete === 'all' ? 'good' : 'fair'}">${COMPLETE[complete]}</span>
    </td>
    <td class="copying wide">
      <button
        type="button"
        class="copy"
        data-copy="docker pull ${mirror}/${name}"
        aria-label="Copy the pull command of ${name}"
      >
        copy
      </button>
    </td>
  </tr> `
}

function pager({ page, pages, query }: ImagePage): Html | false {
  if (pages === 1) return false
  const link = (to: number, text: string): Html =>
    to < 1 || to > pages
      ? html`<span class="off">${text}</span>`
      : html`<a
          href="status?${new URLSearchParams({ q: query.q, sort: query.sort, page: String(to) }).toString()}#images"
          data-page="${to}"
          >${text}</a
        >`
  return html`<nav class="pager" aria-label="Pages of images">
    ${link(page - 1, '← Back')}<span>Page ${count(page)} of ${count(pages)}</span>${link(page + 1, 'Next →')}
  </nav>`
}
