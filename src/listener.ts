import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Certificates } from './certificates.js'

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
  readonly onParserError: (error: Error & { code?: string }, socket: Duplex) => void
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

/** Opens a port. Rejects when it cannot be opened. */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { limits, onRequest, onParserError } = options
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
  const server: Server | TlsServer = certificates
    ? createTlsServer(
        {
          ...http,
          minVersion: 'TLSv1.2',
          SNICallback: (name, done) => done(null, certificates?.forName(name)),
        },
        onRequest,
      )
    : createServer(http, onRequest)
  server.timeout = limits.idleTimeout
  server.maxConnections = limits.maxConnections
  server.on('clientError', (error, socket) => onParserError(error, socket))

  const { host, port } = options.address
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const bound = server.address()
  const boundPort = typeof bound === 'object' && bound !== null ? bound.port : port
  return {
    url: `${certificates ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${boundPort}`,
    useCertificates(fresh) {
      certificates = fresh
    },
    drain: () =>
      new Promise(resolve => {
        const idle = setInterval(() => server.closeIdleConnections(), 250)
        server.close(() => {
          clearInterval(idle)
          resolve()
        })
        server.closeIdleConnections()
      }),
    cut: () => server.closeAllConnections(),
  }
}
