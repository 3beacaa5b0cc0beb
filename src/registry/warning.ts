import type { FastifyInstance } from 'fastify'
import { knownExchange, type Exchange } from './exchange.js'

/** The headers of an answer with what the upstream warned of on the way to it, behind a warning of the mirror's own. */
export function withWarning(
  headers: Readonly<Record<string, string>>,
  { warning }: Pick<Exchange, 'warning'>,
): Record<string, string> {
  const own = headers.warning
  if (warning === undefined || own === warning) return { ...headers }
  return { ...headers, warning: own === undefined ? warning : `${own}, ${warning}` }
}

/**
 * An upstream's warnings are for the people behind the client (distribution-spec, "Warnings"), whatever was asked: all
 * answers get them that the upstream had part in, refusals and answers from the cache alone excepted.
 */
export function warnings(app: FastifyInstance): void {
  app.addHook('onSend', (request, reply, _payload, done) => {
    const exchange = knownExchange(request)
    if (exchange?.warning !== undefined && reply.statusCode < 400) {
      const own = reply.getHeader('warning')
      const headers: Record<string, string> = typeof own === 'string' ? { warning: own } : {}
      reply.headers(withWarning(headers, exchange))
    }
    done()
  })
}
