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
 * Aborts when the connection closes before the answer was written to its end. Fastify's own `request.signal` is not
 * that: it fires once a body has been read.
 */
export function clientGone(request: IncomingMessage, response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  onceOver(request, response, () => {
    if (!response.writableFinished) controller.abort(new ClientGone())
  })
  return controller.signal
}
