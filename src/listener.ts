import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Certificates } from './certificates.js'
import { onceOver } from './registry/once-over.js'

/** Bounds on what clients may hold open, times in milliseconds. */
export interface ListenerLimits {
  readonly maxConnections: number
  /** How long a connection with a request in flight may make no progress in either direction. */
  readonly idleTimeout: number
  readonly headersTimeout: number
}

export interface ListenerOptions {
  readonly address: { readonly host: string; readonly port: number }
  readonly limits: ListenerLimits
  readonly certificates: Certificates | undefined
  readonly onRequest: RequestListener
  /** Answers what is no HTTP, on a connection that waits for no other answer. */
  readonly onParserError: (error: Error & { code?: string }, socket: Duplex) => void
  /** Learns of connections that could not be accepted, for want of file descriptors. */
  readonly onError: (error: Error) => void
}

export interface Listener {
  /** Where it listens, with the port that was given where 0 was asked for. */
  readonly url: string
  useCertificates(certificates: Certificates): void
  /** Takes no more connections; resolves when the last request has been answered. */
  drain(): Promise<void>
  /** Ends what is still going on. */
  cut(): void
}

/** Go's clients keep idle connections for 90 s; who closes first must not be the mirror, in mid-request. */
const KEEP_ALIVE = 95_000

const MAX_HEADER_BYTES = 16 * 1024

/** How often, in milliseconds, a draining port looks for connections that have become idle. */
const DRAIN_INTERVAL = 250

/** Opens a port. Rejects when it cannot be opened. */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { limits, onRequest, onParserError, onError } = options
  let { certificates } = options
  const http = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: limits.headersTimeout,
    keepAliveTimeout: KEEP_ALIVE,
    connectionsCheckingInterval: Math.min(5_000, limits.headersTimeout),
    // A push of many gigabytes may take its time; only standing still is bounded, by `timeout` below.
    requestTimeout: 0,
    // The gate answers a missing Host as it answers everything else.
    requireHostHeader: false,
    noDelay: true,
  }
  const tls =
    certificates &&
    createTlsServer({
      ...http,
      ...certificates.fallback,
      handshakeTimeout: limits.headersTimeout,
      // Whoever shows a certificate that counts is somebody; who shows none can still log in.
      requestCert: certificates.fallback.ca !== undefined,
      rejectUnauthorized: false,
      SNICallback: (name, done) => done(null, certificates?.forName(name)),
    })
  const server: Server | TlsServer = tls ?? createServer(http)
  server.timeout = limits.idleTimeout
  server.maxConnections = limits.maxConnections

  /** Connections that speak HTTP, each with the answers it waits for. */
  const connections = new Map<Duplex, Set<ServerResponse>>()
  let draining = false

  server.on(tls ? 'secureConnection' : 'connection', (socket: Duplex) => {
    connections.set(socket, new Set())
    socket.once('close', () => connections.delete(socket))
  })
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const answers = connections.get(request.socket)
    answers?.add(response)
    onceOver(request, response, () => answers?.delete(response))
    if (draining) response.shouldKeepAlive = false
    onRequest(request, response)
  }
  server.on('request', serve)
  server.on('checkExpectation', serve)
  server.on('checkContinue', (request, response) => {
    // Said when somebody wants the body, so that whoever is refused has not sent it in vain.
    request.once('resume', () => {
      if (!response.headersSent) response.writeContinue()
    })
    serve(request, response)
  })
  server.on('clientError', (error, socket) => {
    const answers = connections.get(socket)
    // An answer to the wrong request would be worse than none.
    const mayAnswer = answers && [...answers].every(({ req, headersSent }) => !req.complete && !headersSent)
    if (mayAnswer) onParserError(error, socket)
    else socket.destroy()
  })

  const { host, port } = options.address
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  server.on('error', onError)
  const bound = server.address()
  const boundPort = typeof bound === 'object' && bound !== null ? bound.port : port

  function closeIdle(): void {
    for (const [socket, answers] of connections) if (answers.size === 0) socket.destroy()
  }

  return {
    url: `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${boundPort}`,
    useCertificates(fresh) {
      certificates = fresh
      tls?.setSecureContext(fresh.fallback)
    },
    drain: () =>
      new Promise(resolve => {
        draining = true
        for (const answers of connections.values()) {
          for (const answer of answers) answer.shouldKeepAlive = false
        }
        // Node's own closeIdleConnections() spares connections on which nothing was ever sent.
        const looking = setInterval(closeIdle, DRAIN_INTERVAL)
        server.close(() => {
          clearInterval(looking)
          resolve()
        })
        closeIdle()
      }),
    cut: () => server.closeAllConnections(),
  }
}
