import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { onceOver } from './once-over.js'
import { overloaded } from './overloaded.js'
import { RequestShare, type RequestBudgets } from './request-share.js'

const shares = new WeakMap<IncomingMessage, RequestShare>()

/** Bounds the requests in flight: more are told to come again rather than to wait for memory. */
export function admission(app: FastifyInstance, budgets: RequestBudgets): void {
  app.addHook('onRequest', (request, reply, done) => {
    if (!budgets.requests.take()) {
      done(overloaded('as many requests in flight'))
      return
    }
    const share = new RequestShare(budgets)
    shares.set(request.raw, share)
    onceOver(request.raw, reply.raw, () => {
      share.giveBack()
      budgets.requests.giveBack()
    })
    done()
  })
}

/** The share of a request that was let in. */
export function shareOf(request: FastifyRequest): RequestShare {
  const share = shares.get(request.raw)
  if (!share) throw new Error('The request was not let in.')
  return share
}
