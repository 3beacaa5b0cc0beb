import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { knownExchange } from '../registry/exchange.js'
import { onceOver } from '../registry/once-over.js'
import { eventOf, fieldsOf, type AuditFields } from './audit-line.js'

/** For how long repetitions of a refused login are counted before they have a line, in milliseconds. */
const WINDOW = 60_000
/** Pairs of user and address that have lines of their own within that time. */
const MAX_PAIRS = 100

export interface AuditTrail {
  /** Writes down what has been counted so far, and ends. */
  close(): void
}

/** Keeps account of what is pulled, pushed and deleted, and of refused logins, which a flood of them cannot drown. */
export function auditTrail(app: FastifyInstance, write: (fields: AuditFields) => void): AuditTrail {
  const logins = createRefusedLogins(write)
  app.addHook('onRequest', (request, reply, done) => {
    onceOver(request.raw, reply.raw, () => {
      const refused = knownExchange(request)?.refusedLogin
      const event = eventOf(request, reply)
      if (refused) logins.add(loginFields(refused.user, request, reply))
      else if (event) write(fieldsOf(event, request, reply))
    })
    done()
  })
  const timer = setInterval(() => logins.tell(), WINDOW)
  timer.unref()
  return {
    close() {
      clearInterval(timer)
      logins.tell()
    },
  }
}

function loginFields(user: string | undefined, request: FastifyRequest, reply: FastifyReply): AuditFields {
  return {
    event: 'login refused',
    user,
    address: knownExchange(request)?.address ?? request.socket.remoteAddress,
    status: reply.statusCode,
    requestId: request.id,
  }
}

/** Refused logins: the first of a pair of user and address at once, and then how many there were. */
export function createRefusedLogins(write: (fields: AuditFields) => void): {
  add(login: AuditFields): void
  /** Writes what was counted since the last time. */
  tell(): void
} {
  const pairs = new Map<string, { readonly login: AuditFields; more: number }>()
  let others = 0
  return {
    add(login) {
      const key = JSON.stringify([login['user'], login['address']])
      const pair = pairs.get(key)
      if (pair) pair.more++
      else if (pairs.size < MAX_PAIRS) {
        pairs.set(key, { login, more: 0 })
        write(login)
      } else others++
    },
    tell() {
      for (const { login, more } of pairs.values())
        if (more > 0)
          write({ event: login['event'], user: login['user'], address: login['address'], times: more })
      if (others > 0) write({ event: 'login refused', times: others })
      pairs.clear()
      others = 0
    },
  }
}
