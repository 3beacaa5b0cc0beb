import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { once, setMaxListeners } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import type { Answer, OutboundRequest, Send } from '../../../src/upstream/send.js'

export interface TestServer {
  readonly origin: string
  readonly port: number
  readonly requests: IncomingMessage[]
  readonly connections: () => Promise<number>
  /** Connections ever opened. */
  readonly opened: () => number
}

/** A signal that never aborts, for any number of requests at once. */
export const never = new AbortController().signal
setMaxListeners(0, never)

/** What a promise fails with; undefined when it does not. */
export function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  )
}

/** An HTTP server on loopback that ends with the test. */
export async function serve(t: Test, listener: RequestListener): Promise<TestServer> {
  const requests: IncomingMessage[] = []
  let opened = 0
  const server = createServer((request, response) => {
    requests.push(request)
    listener(request, response)
  })
  server.on('connection', () => opened++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    return new Promise(resolve => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    requests,
    opened: () => opened,
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
  }
}

export function request(overrides: Partial<OutboundRequest> = {}): OutboundRequest {
  return {
    action: 'BatchGetImage',
    method: 'GET',
    path: '/v2/app/manifests/latest',
    headers: {},
    signal: never,
    patience: 5000,
    ...overrides,
  }
}

export function answer(statusCode: number, body = '', headers: Answer['headers'] = {}): Answer {
  return {
    statusCode,
    headers,
    body: Readable.from(body === '' ? [] : [Buffer.from(body)], { objectMode: false }),
  }
}

/** Answers in turn; the last one again and again. Keeps what it was asked and what it gave. */
export function scripted(...steps: (Answer | Error | (() => Answer))[]): {
  send: Send
  asked: OutboundRequest[]
  given: Answer[]
} {
  const asked: OutboundRequest[] = []
  const given: Answer[] = []
  return {
    asked,
    given,
    send: request => {
      const step = steps[Math.min(asked.length, steps.length - 1)]
      asked.push(request)
      if (step === undefined || step instanceof Error)
        return Promise.reject(step ?? new Error('nothing scripted'))
      const one = typeof step === 'function' ? step() : step
      given.push(one)
      return Promise.resolve(one)
    },
  }
}

export async function text(body: Readable): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}

/** Waits until it holds; the test's own time limit ends it otherwise. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise(resolve => setTimeout(resolve, 5))
}
