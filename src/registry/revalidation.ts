import type { FastifyRequest } from 'fastify'
import { mayPush } from './authorize.js'
import { exchangeOf } from './exchange.js'

/** Whether the client wants nothing that was not asked for anew (RFC 9111, section 5.2.1.4). */
export function wantsRevalidation({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  return /(?:^|[\s,])no-cache(?:$|[\s,])/i.test(headers['cache-control'] ?? '')
}

/**
 * Whether only the upstream can answer: the client says so, or asks by HEAD where it may push. A push begins with such
 * questions, and what was learnt for reading must not decide what is left out of it.
 */
export function asksUpstream(request: FastifyRequest): boolean {
  return wantsRevalidation(request) || (request.method === 'HEAD' && mayPush(exchangeOf(request)))
}
