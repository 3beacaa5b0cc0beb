import type { IncomingMessage, ServerResponse } from 'node:http'

/** How long and how much of a body nobody wants is still read, so that its sender gets to see the answer. */
const LINGER = { ms: 10_000, bytes: 64 * 1024 * 1024 }

/**
 * Reads on, and throws away, what is left of a request's body when it is answered early. Closing at once would reset
 * the connection and the client would see a broken pipe in place of the answer (RFC 9112, section 9.6).
 */
export function drain(request: IncomingMessage, response: ServerResponse): void {
  if (request.complete || request.destroyed) return
  if (request.headers.expect !== undefined && request.readableFlowing === null) {
    // Whoever waits for 100 Continue has sent nothing yet, and now need not.
    response.shouldKeepAlive = false
    return
  }
  let bytes = 0
  const end = (): void => void request.socket.destroy()
  const timer = setTimeout(end, LINGER.ms)
  timer.unref()
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > LINGER.bytes) end()
  })
  request.once('close', () => clearTimeout(timer))
  request.on('error', () => undefined)
  request.resume()
}
