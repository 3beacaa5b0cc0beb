import type { FastifyInstance } from 'fastify'
import { ROUTES } from '../oci/endpoint.js'

/** `GET /v2/`: that this is a registry, and (having come this far) that the credentials are good. */
export function base(app: FastifyInstance): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: ROUTES.base,
    handler: (_request, reply) => reply.header('content-type', 'application/json').send(Buffer.from('{}')),
  })
}
