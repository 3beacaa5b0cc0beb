import { requestIdOf } from '../upstream/headers.js'
import type { Answer, OutboundRequest } from '../upstream/send.js'
import type { Upstream } from '../upstream/upstream.js'
import { warningsIn } from '../upstream/warnings.js'
import type { Exchange } from './exchange.js'

/** Sends a request upstream, if that is not too much now, and notes what it took, for the access line. */
export async function sendTimed(
  exchange: Exchange,
  upstream: Upstream,
  request: OutboundRequest,
): Promise<Answer> {
  exchange.share.askUpstream()
  const began = performance.now()
  const answer = await upstream.send(request)
  exchange.upstream = {
    ms: performance.now() - began,
    status: answer.statusCode,
    requestId: requestIdOf(answer.headers),
  }
  if (answer.statusCode < 400) exchange.warning = warningsIn(answer.headers.warning)
  return answer
}
