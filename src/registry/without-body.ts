import type { FastifyInstance } from 'fastify'

/** For routes to which a body means nothing (RFC 9110, section 9.3.5): whatever comes, and of whatever type, is left. */
export function withoutBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
}
