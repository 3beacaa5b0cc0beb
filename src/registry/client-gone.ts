import type { IncomingMessage, ServerResponse } from 'node:http'
import { onceOver } from './once-over.js'

/** Why work for a client ended: nobody is there to take the answer. */
export class ClientGone extends Error {
  constructor() {
    super('The client has left.')
    this.name = 'ClientGone'
  }
}

/**
 * Gives a signal that aborts when the connection closes before the answer was written to its end. Fastify's own
 * `request.signal` is not that: it fires once a body has been read. It is made for the first who asks, since most
 * answers have nothing to wait for.
 */
export function clientGone(request: IncomingMessage, response: ServerResponse): () => AbortSignal {
  let hasLeft = false
  let controller: AbortController | undefined
  onceOver(request, response, () => {
    hasLeft = !response.writableFinished
    if (hasLeft) controller?.abort(new ClientGone())
  })
  return () => {
    controller ??= new AbortController()
    if (hasLeft && !controller.signal.aborted) controller.abort(new ClientGone())
    return controller.signal
  }
}
