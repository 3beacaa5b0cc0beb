import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import { onceOver } from './registry/once-over.js'

/**
 * The way in for whoever runs the mirror: the socket in the cache directory, which the system opens to nobody but the
 * user that the mirror runs as.
 */
export interface OperatorDoor {
  /** Takes a connection that came that way. */
  admit(socket: Socket): void
  isOperator(socket: Duplex): boolean
  /** Answers requests from now on. */
  open(onRequest: RequestListener): void
  /** Refuses requests from now on; resolves when the last one before has been answered. */
  drain(): Promise<void>
  /** Ends every connection; more are not taken. */
  cut(): void
}

export function createOperatorDoor(): OperatorDoor {
  const sockets = new Set<Duplex>()
  const inFlight = new Set<ServerResponse>()
  let answer: RequestListener = refuse('The mirror is starting.')
  let onDrained = (): void => undefined
  let closed = false
  // It listens nowhere: the lock of the cache directory does.
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 0 }, (request, response) => {
    inFlight.add(response)
    onceOver(request, response, () => {
      inFlight.delete(response)
      if (inFlight.size === 0) onDrained()
    })
    answer(request, response)
  })
  return {
    admit(socket) {
      socket.on('error', () => undefined)
      if (closed) {
        socket.destroy()
        return
      }
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      server.emit('connection', socket)
    },
    isOperator: socket => sockets.has(socket),
    open: onRequest => void (answer = onRequest),
    drain: () =>
      new Promise(resolve => {
        answer = refuse('The mirror is ending.')
        if (inFlight.size === 0) resolve()
        else onDrained = resolve
      }),
    cut() {
      closed = true
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Says so in the words of the registry API, which the commands understand. */
function refuse(message: string): RequestListener {
  return (_request, response) => {
    response.shouldKeepAlive = false
    response.writeHead(503, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ errors: [{ code: 'UNAVAILABLE', message }] }))
  }
}
