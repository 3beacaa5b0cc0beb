import { request, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http'
import type { Ecr } from './ecr.js'

export interface Asked {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
  /** False when the connection ended before the announced end. */
  readonly complete: boolean
  json(): unknown
  text(): string
}

export interface AskOptions {
  method?: string
  headers?: OutgoingHttpHeaders
  body?: Buffer | string
  /** The Host header, by default the first account's. */
  host?: string
  /** The Authorization header; a fresh token's by default, none for null. */
  authorization?: string | null
}

/** One request to the stand-in's registry over its own connection, as a mirror would send it. */
export function ask(ecr: Ecr, path: string, options: AskOptions = {}): Promise<Asked> {
  const authorization =
    options.authorization === undefined ? `Basic ${ecr.token().authorizationToken}` : options.authorization
  return fetchRaw(new URL(path, ecr.url).href, {
    ...options,
    headers: {
      host: options.host ?? ecr.host,
      ...(authorization !== null && { authorization }),
      ...options.headers,
    },
  })
}

/** One request to any URL over its own connection; follows nothing. */
export function fetchRaw(
  url: string,
  options: { method?: string; headers?: OutgoingHttpHeaders; body?: Buffer | string } = {},
): Promise<Asked> {
  const { method = 'GET', headers = {}, body } = options
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false }, response => {
      const chunks: Buffer[] = []
      const done = (): void => {
        const bytes = Buffer.concat(chunks)
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          rawHeaders: response.rawHeaders,
          body: bytes,
          complete: response.complete,
          text: () => bytes.toString('utf8'),
          json: () => JSON.parse(bytes.toString('utf8')) as unknown,
        })
      }
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', done)
      response.on('end', done)
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
