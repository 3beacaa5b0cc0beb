import { createDispatcher } from '../upstream/egress.js'
import { outboundHeaders } from '../upstream/headers.js'
import { readBody } from '../upstream/read-body.js'
import { transport } from '../upstream/transport.js'
import type { UpstreamSettings } from '../upstream/upstream.js'

/** What a registry says to who has no token. */
export interface BareAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The beginning of the body; empty when it is long. */
  readonly text: string
}

/** Asks a registry for `/v2/` without a token. Throws what the transport throws. */
export async function askBare(
  { name, host, endpoint }: UpstreamSettings,
  signal: AbortSignal,
): Promise<BareAnswer> {
  const dispatcher = createDispatcher({
    servername: host,
    trustOf: () => (endpoint === undefined ? 'private' : 'listed'),
  })
  const origin = endpoint === undefined ? `https://${host}` : new URL(endpoint).origin
  try {
    const send = transport({ upstream: name, origin, host, dispatcher })
    const answer = await send({
      action: 'GetAuthorizationToken',
      method: 'GET',
      path: '/v2/',
      headers: outboundHeaders({}, []),
      signal,
      patience: 0,
    })
    const text = (await readBody(answer.body, 16 * 1024))?.toString('utf8') ?? ''
    return { status: answer.statusCode, headers: answer.headers, text }
  } finally {
    await dispatcher.destroy()
  }
}
