import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Certificates } from './certificates.js'
import type { ConnectionRoom } from './connection-room.js'
import { Pipeline } from './pipeline.js'
import { onceOver } from './registry/once-over.js'
import { RequestBytes } from './request-bytes.js'
import { SlowClients } from './slow-clients.js'

/** Bounds on how long clients may hold something open, in milliseconds. */
export interface ListenerLimits {
  /** How long a connection may make no progress in either direction while it is the client's turn. */
  readonly idleTimeout: number
  readonly headersTimeout: number
}

export interface ListenerOptions {
  readonly address: { readonly host: string; readonly port: number }
  readonly limits: ListenerLimits
  /** For connections, of this port and of others that share it. */
  readonly room: ConnectionRoom
  /** Learns of connections that are ended for what they took too long for. */
  readonly onSlow?: (reason: 'headers' | 'idle') => void
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
  /** Goes on as before, but has every connection end with its next answer, so that clients connect anew, elsewhere. */
  retire(): void
  /** Takes no more connections; resolves when the last request has been answered. */
  drain(): Promise<void>
  /** Ends what is still going on. */
  cut(): void
}

/** Go's clients keep idle connections for 90 s; who closes first must not be the mirror, in mid-request. */
const KEEP_ALIVE = 95_000

/**
 * How long, in milliseconds, a connection is silent before its other end is asked whether it is still there. A client that
 * waits for an answer may be silent for as long as it likes; one that has vanished is found out, by Node within ten
 * further seconds.
 */
const PROBE_AFTER = 30_000

const MAX_HEADER_BYTES = 16 * 1024

const TOO_SLOW = new Set(['ERR_HTTP_REQUEST_TIMEOUT', 'ERR_TLS_HANDSHAKE_TIMEOUT'])

/** How long, in milliseconds, a client may be behind its rate even where it may stand still for less: links have pauses. */
const LEAST_GRACE = 2_000

const TOO_SLOW_BODY = 'ERR_HTTP_REQUEST_TIMEOUT'

/** How long, in milliseconds, whoever was too slow may take for the answer that says so. */
const LINGER = 1_000

/** How often, in milliseconds, a draining port looks for connections that have become idle. */
const DRAIN_INTERVAL = 250

/** How long, in milliseconds, whoever has just connected has for the request that is on its way when the port closes. */
const FIRST_REQUEST = 1_000

/** The client asked for a tunnel, which Node hands out in place of a request. */
class TunnelRefused extends Error {
  readonly code = 'TUNNEL_REFUSED'
  constructor() {
    super('The mirror is no proxy for CONNECT.')
    this.name = 'TunnelRefused'
  }
}

/** Opens a port. Rejects when it cannot be opened. */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { limits, room, onRequest, onParserError, onSlow, onError } = options
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
    keepAlive: true,
    keepAliveInitialDelay: PROBE_AFTER,
  }
  const tls =
    certificates &&
    createTlsServer({
      ...http,
      ...certificates.fallback,
      handshakeTimeout: limits.headersTimeout,
      // Whoever shows a certificate that counts is somebody; who shows none can still log in.
      requestCert: certificates.askClients,
      rejectUnauthorized: false,
      SNICallback: (name, done) => done(null, certificates?.forName(name)),
    })
  const server: Server | TlsServer = tls ?? createServer(http)
  server.timeout = limits.idleTimeout

  /** Connections that speak HTTP, each with the requests it waits for answers to. */
  const connections = new Map<Duplex, Pipeline>()
  /** All there are, also those that have not got through the handshake of TLS, which Node's own cut spares. */
  const sockets = new Set<Socket>()
  /** Those on which no request has come yet, each with when it was opened. */
  const fresh = new Map<Duplex, number>()
  const bytes = new WeakMap<Duplex, RequestBytes>()
  let retired = false
  const slow = new SlowClients({
    grace: Math.max(limits.idleTimeout, LEAST_GRACE),
    onTooSlow: ({ socket }) => {
      onSlow?.('idle')
      if (connections.get(socket)?.mayBeRefused === true) {
        onParserError(Object.assign(new Error('The body comes too slowly.'), { code: TOO_SLOW_BODY }), socket)
        // What it has not taken by then it never will.
        setTimeout(() => socket.destroy(), LINGER).unref()
      } else socket.destroy()
    },
  })

  server.on('connection', (socket: Socket) => {
    if (!room.admit(socket)) {
      socket.destroy()
      return
    }
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
    if (tls) room.secured(socket)
    const serve: RequestListener = (request, response) => {
      if (retired) response.shouldKeepAlive = false
      room.setBusy(socket, true)
      slow.begin(request, response)
      onceOver(request, response, () => {
        slow.over(response)
        room.setBusy(socket, !pipeline.isEmpty)
      })
      onRequest(request, response)
    }
    const pipeline = new Pipeline(serve, () => room.wait(socket))
    connections.set(socket, pipeline)
    bytes.set(socket, new RequestBytes())
    fresh.set(socket, performance.now())
    socket.once('close', () => {
      connections.delete(socket)
      fresh.delete(socket)
    })
  })
  const serve: RequestListener = (request, response) => {
    fresh.delete(request.socket)
    const isLastRead = bytes.get(request.socket)?.isLastRead(request) ?? false
    // A request for another protocol is served like any other, as nobody listens to the `upgrade` event (RFC 9110, section
    // 7.8). But Node's parser drops what came behind it in the same read, and would take what comes next, the middle of
    // another request perhaps, for a beginning.
    if (request.headers.upgrade !== undefined && !isLastRead) response.shouldKeepAlive = false
    connections.get(request.socket)?.add(request, response)
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
  server.on('timeout', (socket: Socket) => {
    if (connections.get(socket)?.keepsClientWaiting) {
      // What the answer waits for has limits of its own. The socket's has to be set again to count again.
      socket.setTimeout(limits.idleTimeout)
      return
    }
    // Between two requests there is nothing that it keeps from going on.
    if (connections.get(socket)?.isEmpty === false) onSlow?.('idle')
    socket.destroy()
  })
  const refuse = (error: Error & { code?: string }, socket: Duplex): void => {
    if (TOO_SLOW.has(error.code ?? '')) onSlow?.('headers')
    // An answer to the wrong request would be worse than none.
    if (connections.get(socket)?.mayBeRefused) onParserError(error, socket)
    else socket.destroy()
  }
  server.on('clientError', refuse)
  server.on('connect', (_request, socket) => {
    // Node no longer looks after a socket that it has handed out.
    socket.on('error', () => undefined)
    socket.once('finish', () => socket.destroy())
    refuse(new TunnelRefused(), socket)
  })

  server.on('close', () => slow.end())

  const { host, port } = options.address
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  }).catch((error: unknown) => {
    slow.end()
    throw error
  })
  server.on('error', onError)
  const bound = server.address()
  const boundPort = typeof bound === 'object' && bound !== null ? bound.port : port

  function retire(): void {
    retired = true
    for (const pipeline of connections.values()) pipeline.endAfterThis()
  }

  function closeIdle(): void {
    const before = performance.now() - FIRST_REQUEST
    for (const [socket, pipeline] of connections)
      if (pipeline.isEmpty && (fresh.get(socket) ?? -Infinity) < before) socket.destroy()
  }

  return {
    url: `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${boundPort}`,
    useCertificates(fresh) {
      certificates = fresh
      if (!tls) return
      tls.setSecureContext(fresh.fallback)
      // Node asks, or not, as this says when a connection comes (lib/_tls_wrap.js); no method sets it.
      Object.assign(tls, { requestCert: fresh.askClients })
    },
    retire,
    drain: () =>
      new Promise(resolve => {
        retire()
        // Node's own closeIdleConnections() spares connections on which nothing was ever sent.
        const looking = setInterval(closeIdle, DRAIN_INTERVAL)
        server.close(() => {
          clearInterval(looking)
          resolve()
        })
        closeIdle()
      }),
    cut: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
}
