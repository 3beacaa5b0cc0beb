import { request, type Agent, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'

/** An answer and what of its body came, whether or not it came whole. */
export interface PlainAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly bytes: Buffer
  /** Whether the body was as long as announced. */
  readonly complete: boolean
}

export interface AskOptions {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: Readable | Buffer
  readonly signal?: AbortSignal
  readonly agent?: Agent
  /** The target as it goes over the wire, instead of what a URL makes of it. */
  readonly target?: string
}

/** A request with nothing added to it, on a connection of its own or an agent's, which keeps a body that broke off. */
export function ask(url: string, options: AskOptions = {}): Promise<PlainAnswer> {
  const { method = 'GET', headers = {}, body, signal, agent = false, target } = options
  const wanted = {
    method,
    headers,
    agent,
    ...(signal && { signal }),
    ...(target !== undefined && { path: target }),
  }
  return new Promise((resolve, reject) => {
    const asked = request(url, wanted, answer => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('error', () => undefined)
      answer.on('close', () =>
        resolve({
          status: answer.statusCode ?? 0,
          headers: answer.headers,
          bytes: Buffer.concat(chunks),
          complete: answer.complete,
        }),
      )
    })
    asked.on('error', reject)
    if (body === undefined || Buffer.isBuffer(body)) asked.end(body)
    else body.pipe(asked)
  })
}
