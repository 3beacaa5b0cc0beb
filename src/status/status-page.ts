import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { OciError } from '../oci/error.js'
import { clientGone } from '../registry/client-gone.js'
import { beginExchange, type Rules } from '../registry/exchange.js'
import { ImageQuery } from './image-page.js'
import { mirrorUrl } from './mirror-url.js'
import { livePart, notePage, page, type PageOptions } from './page/page.js'
import { SCRIPT } from './page/script.js'
import { STYLE } from './page/style.js'
import type { Status } from './status.js'
import { viewOf, type StatusSources } from './view.js'
import { identify, type Viewer } from './viewer.js'
import { VisibleImages } from './visible-images.js'

export interface StatusSettings {
  /** US dollars for 1024³ bytes from ECR. */
  readonly transferPrice: number | undefined
  /** The URL that clients know the mirror by. */
  readonly publicUrl: string | undefined
}

export interface StatusPageOptions {
  readonly status: Status
  readonly sources: Omit<StatusSources, 'observed'>
  /** The rules in force, asked for once a request, which goes by them until it is over. */
  readonly rules: (request: IncomingMessage, response: ServerResponse) => Rules
  readonly settings: () => StatusSettings
}

/**
 * The page loads nothing: not even from where it came, but what it renews itself with. What stands in it is its own
 * style and script, each by its hash (CSP Level 3, section 2.3.1), so that no other text in it can become either.
 */
const HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    `style-src ${sourceOf(STYLE)}`,
    `script-src ${sourceOf(SCRIPT)}`,
    "connect-src 'self'",
    'img-src data:',
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
} as const

/**
 * `/status`, a page for people. Anybody may see its numbers; names are for those with the `status` grant, who log in at
 * `/status?login`. `/status/live` is what of it is renewed while it is looked at.
 */
export function statusPage(
  app: FastifyInstance,
  { status, sources, rules, settings }: StatusPageOptions,
): void {
  const visible = new VisibleImages()

  async function look(request: FastifyRequest, viewer: Viewer, { policy }: Rules): Promise<PageOptions> {
    status.sample()
    const { transferPrice, publicUrl } = settings()
    const list = status.images?.latest()
    const query = ImageQuery.parse(request.query)
    return {
      query,
      mirrorUrl: publicUrl ?? mirrorUrl(request.headers.host, sources.urls()),
      view: await viewOf({
        sources: { ...sources, observed: status.observed },
        viewer,
        list,
        visible: await visible.of(list, viewer, policy),
        query,
        transferPrice,
      }),
    }
  }

  async function answer(
    request: FastifyRequest,
    reply: FastifyReply,
    { mustLogIn, write }: { readonly mustLogIn: boolean; readonly write: (options: PageOptions) => string },
  ): Promise<FastifyReply> {
    const taken = rules(request.raw, reply.raw)
    const exchange = beginExchange(request, taken, clientGone(request.raw, reply.raw))
    const viewer = await identify(request, exchange, mustLogIn)
    if (mustLogIn) return reply.code(303).headers(HEADERS).header('location', 'status').send('')
    return reply.headers(HEADERS).send(write(await look(request, viewer, taken)))
  }

  app.register(async scope => {
    scope.setErrorHandler((error, _request, reply) => refuse(error, reply))
    scope.get('/status', async (request, reply) =>
      answer(request, reply, { mustLogIn: isLogin(request), write: page }),
    )
    scope.get('/status/live', async (request, reply) =>
      answer(request, reply, { mustLogIn: false, write: livePart }),
    )
  })
}

function isLogin({ query }: FastifyRequest): boolean {
  return typeof query === 'object' && query !== null && 'login' in query
}

/** A refusal of the login, as a page; anything else is a defect and says nothing. */
function refuse(error: unknown, reply: FastifyReply): FastifyReply {
  const known = error instanceof OciError ? error : undefined
  const isLive = reply.request.routeOptions.url === '/status/live'
  return (
    reply
      .code(known?.status ?? 500)
      .headers(HEADERS)
      // A script's request must not make the browser ask for a password.
      .headers(known && !isLive ? known.headers : {})
      .headers(known?.retryAfter === undefined ? {} : { 'retry-after': String(known.retryAfter) })
      .send(
        known
          ? notePage(
              'Not logged in',
              'The page shows its numbers to everybody, and names to users who log in.',
            )
          : notePage('The page failed', 'The mirror could not put its status together.'),
      )
  )
}

function sourceOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}
