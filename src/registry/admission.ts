import type { FastifyInstance } from 'fastify'
import { OciError } from '../oci/error.js'

/** Bounds the requests in flight: more are told to come again rather than to wait for memory. */
export function admission(app: FastifyInstance, { maxRequests }: { readonly maxRequests: number }): void {
  let inFlight = 0
  app.addHook('onRequest', async (_request, reply) => {
    inFlight++
    reply.raw.once('close', () => inFlight--)
    if (inFlight > maxRequests) {
      throw new OciError(
        'TOOMANYREQUESTS',
        'The mirror has as many requests in flight as it may; try again.',
        { status: 503, retryAfter: 1 },
      )
    }
  })
}
