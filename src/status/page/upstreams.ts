import type { TokenProblem } from '../../upstream/token-problem.js'
import type { StatusView, UpstreamRow } from '../view.js'
import { html, type Html } from './html.js'
import { counted, span } from './words.js'

const PROBLEMS: Readonly<Record<TokenProblem, string>> = {
  'no-credentials': 'the mirror has no AWS credentials',
  denied: 'its role may not call ecr:GetAuthorizationToken',
  refused: 'AWS refuses its credentials',
  throttled: 'AWS limits the rate of its calls',
  timeout: 'AWS did not answer in time',
  unreachable: 'AWS cannot be reached',
  malformed: 'what answered gave no token',
  failed: 'the call for one failed',
}

/** The registries behind the mirror: whether they answer, and how their tokens are. */
export function upstreams({ upstreams: all }: StatusView): Html {
  return html`<section id="upstreams" data-live aria-labelledby="upstreams-title">
    <header><h2 id="upstreams-title">Upstreams</h2></header>
    <ul class="facts">
      ${all.map(row)}
    </ul>
  </section>`
}

function row({ named, token, awayFor, connections }: UpstreamRow, index: number): Html {
  const isGood = token.usable && awayFor === undefined
  return html`<li>
    <div class="line">
      <span class="name">${named?.name ?? `Upstream ${index + 1}`}</span
      ><span class="state ${isGood ? 'good' : 'bad'}"
        >${
          awayFor === undefined ? (token.usable ? 'answers' : 'no token') : `away for ${span(awayFor)}`
        }</span
      >
    </div>
    ${named && html`<p class="note host">${named.host}</p>`}
    <p class="note">${tokenText(token)}; ${counted(connections, 'connection')}</p>
  </li>`
}

function tokenText({ usable, expiresIn, problem }: UpstreamRow['token']): string {
  const why = problem && PROBLEMS[problem]
  if (!usable) return `No token: ${why ?? 'not asked for yet'}`
  return `Token good for ${span(expiresIn ?? 0)}${why === undefined ? '' : `, and not renewed: ${why}`}`
}
