import { request, type Agent, type OutgoingHttpHeaders } from 'node:http'
import type { PlainAnswer } from '../../support/requests.js'

/** A request whose target goes over the wire as it is written, which nothing that takes a URL does. */
export function askExactly(
  origin: string,
  target: string,
  options: {
    readonly method?: string
    readonly headers?: OutgoingHttpHeaders
    readonly body?: Buffer
    readonly agent: Agent
  },
): Promise<PlainAnswer> {
  const { method = 'GET', headers = {}, body, agent } = options
  const { hostname, port } = new URL(origin)
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path: target, method, headers, agent }, answer => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('error', reject)
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
    asked.end(body)
  })
}
