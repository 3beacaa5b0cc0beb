import { createServer, type RequestListener } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'

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
  /** Ends every connection; more are not taken. */
  close(): void
}

export function createOperatorDoor(): OperatorDoor {
  const sockets = new Set<Duplex>()
  let answer: RequestListener | undefined
  let closed = false
  // It listens nowhere: the lock of the cache directory does.
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 0 }, (request, response) => {
    if (answer) answer(request, response)
    else response.writeHead(503).end()
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
    close() {
      closed = true
      for (const socket of sockets) socket.destroy()
    },
  }
}
