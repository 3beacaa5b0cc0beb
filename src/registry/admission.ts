import type { FastifyInstance } from 'fastify'
import { OciError } from '../oci/error.js'
import { onceOver } from './once-over.js'

/** Bounds the requests in flight: more are told to come again rather than to wait for memory. */
export function admission(app: FastifyInstance, { maxRequests }: { readonly maxRequests: number }): void {
  let inFlight = 0
  app.addHook('onRequest', async (request, reply) => {
    inFlight++
    onceOver(request.raw, reply.raw, () => inFlight--)
    if (inFlight > maxRequests) {
      throw new OciError(
        'TOOMANYREQUESTS',
        'The mirror has as many requests in flight as it may; try again.',
        { status: 503, retryAfter: 1 },
      )
    }
  })
}
