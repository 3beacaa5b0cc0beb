import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Listener, RecordedRequest, Recorder } from './recorder.js'

/** One request and the answer to it. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly record: RecordedRequest
  /** Decoded, without the query. */
  readonly path: string
  readonly query: URLSearchParams
  /** Aborts when the answer has ended or the far side has left. */
  readonly signal: AbortSignal
  readonly secure: boolean
}

export interface TlsFiles {
  key: string | Buffer
  cert: string | Buffer
}

export interface Listening {
  readonly port: number
  close(): Promise<void>
}

/** Starts a listener on loopback that hands every request to `handle` and records it. */
export async function listen(options: {
  at: Listener
  port?: number | undefined
  tls?: TlsFiles | undefined
  recorder: Recorder
  handle: (exchange: Exchange) => Promise<void>
}): Promise<Listening> {
  const { at, recorder, handle, tls } = options
  const settings = { maxHeaderSize: 128 * 1024, requestTimeout: 0, keepAliveTimeout: 120_000 }
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const ending = new AbortController()
    response.once('close', () => ending.abort())
    const target = request.url ?? '/'
    const mark = target.indexOf('?')
    const exchange: Exchange = {
      request,
      response,
      record: recorder.arrived(at, request, response),
      path: decoded(mark < 0 ? target : target.slice(0, mark)),
      query: new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)),
      signal: ending.signal,
      secure: tls !== undefined,
    }
    handle(exchange).catch((error: unknown) => {
      if (response.destroyed || ending.signal.aborted) return
      if (response.headersSent) return void response.destroy()
      response.writeHead(500, { 'Content-Type': 'text/plain' }).end(`The stand-in failed: ${String(error)}\n`)
    })
  }
  const server = tls
    ? createHttpsServer({ ...settings, key: tls.key, cert: tls.cert }, listener)
    : createHttpServer(settings, listener)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', () => resolve())
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise<void>(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** Cuts the connection under an exchange, with a reset where the socket can. */
export function cut(exchange: Exchange): void {
  exchange.record.cut = true
  const { socket } = exchange.request
  if ('encrypted' in socket) socket.destroy()
  else socket.resetAndDestroy()
}

/** Sends what was written so far and closes the connection, in the middle of an answer. */
export function endShort({ record, response }: Exchange): void {
  record.cut = true
  response.flushHeaders()
  response.socket?.destroySoon()
}

/** Waits for the request's body; undefined when it is longer than `limit` bytes. */
export async function readBody(exchange: Exchange, limit: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of bodyChunks(exchange)) {
    size += chunk.length
    if (size <= limit) chunks.push(chunk)
  }
  return size <= limit ? Buffer.concat(chunks) : undefined
}

/** The request's body as it comes, counted. */
export async function* bodyChunks(exchange: Exchange): AsyncGenerator<Buffer> {
  for await (const chunk of exchange.request as AsyncIterable<Buffer>) {
    exchange.record.bodyBytes += chunk.length
    yield chunk
  }
}
