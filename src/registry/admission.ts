import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { onceOver } from './once-over.js'
import { RequestShare, type RequestBudgets } from './request-share.js'

const shares = new WeakMap<IncomingMessage, RequestShare>()

/**
 * Gives each request its share, which it takes a place by once it is known whose it is (`RequestShare.admit`). One that
 * is refused before takes none: its answer is small, and how many there may be at a time the connections bound.
 */
export function admission(app: FastifyInstance, budgets: RequestBudgets): void {
  app.addHook('onRequest', (request, reply, done) => {
    const share = new RequestShare(budgets)
    shares.set(request.raw, share)
    onceOver(request.raw, reply.raw, () => share.giveBack())
    done()
  })
}

/** The share of a request. */
export function shareOf(request: FastifyRequest): RequestShare {
  const share = shares.get(request.raw)
  if (!share) throw new Error('The request was not let in.')
  return share
}
