import assert from 'node:assert/strict'
import type { Readable } from 'node:stream'
import { Agent, request } from 'undici'
import { z } from 'zod'

/** A registry that the cases are run against. */
export interface Place {
  /** Origin, without a slash at the end. */
  readonly url: string
  /** The Authorization header. */
  readonly authorization: string
}

export interface Ask {
  readonly headers?: Record<string, string>
  /** A Readable goes out in chunks, without a Content-Length. */
  readonly body?: Buffer | string | Readable
  /** Sends no credentials. */
  readonly anonymous?: boolean
}

/** One answer, read to its end. */
export interface Answer {
  readonly asked: string
  readonly status: number
  readonly body: Buffer
  /** Where the request went, after redirects. */
  readonly url: URL
  /** The header's value, its lines joined as RFC 9110 has it; undefined when it is missing. */
  header(name: string): string | undefined
  /** The Location header, resolved. Fails when there is none. */
  location(): URL
  json(): unknown
}

export interface Client {
  send(method: string, target: string | URL, ask?: Ask): Promise<Answer>
  close(): Promise<void>
}

/** How long one request may take before its case counts as failed, in milliseconds. */
const PATIENCE = 60_000

/** A plain client: credentials for the registry's own origin only, redirects followed for GET. */
export function createClient(place: Place): Client {
  const dispatcher = new Agent()

  async function send(method: string, target: string | URL, ask: Ask = {}): Promise<Answer> {
    const url = new URL(target, place.url)
    const own = url.origin === new URL(place.url).origin
    const answer = await request(url, {
      method: method as 'GET',
      dispatcher,
      signal: AbortSignal.timeout(PATIENCE),
      headers: {
        ...(own && ask.anonymous !== true && { authorization: place.authorization }),
        ...ask.headers,
      },
      body: ask.body ?? null,
    })
    const body = Buffer.from(await answer.body.arrayBuffer().catch(cutShort(answer.statusCode)))
    const header = (name: string): string | undefined => {
      const value = answer.headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    }
    const asked = `${method} ${url.pathname.slice(0, 120)}`
    const received: Answer = {
      asked,
      status: answer.statusCode,
      body,
      url,
      header,
      location: () => {
        const location = header('location')
        assert.ok(location, `${asked} names no Location`)
        return new URL(location, url)
      },
      json: () => JSON.parse(body.toString('utf8')) as unknown,
    }
    const redirected = method === 'GET' && received.status >= 301 && received.status <= 308
    return redirected ? send(method, received.location(), ask) : received
  }

  return { send, close: () => dispatcher.close() }
}

/** Go's registries announce the whole blob's length on a 416 and send less: what counts of a refusal is its status. */
function cutShort(status: number): (error: unknown) => ArrayBuffer {
  return error => {
    if (status < 400) throw error
    return new ArrayBuffer(0)
  }
}

/** Fails unless the status is one of those. */
export function expect(answer: Answer, ...statuses: number[]): void {
  if (statuses.includes(answer.status)) return
  const said = answer.header('content-type')?.startsWith('application/json')
    ? answer.body.toString('utf8').slice(0, 200)
    : ''
  assert.fail(`${answer.asked} is ${answer.status}, not ${statuses.join(' or ')}: ${said}`)
}

const Errors = z.object({
  errors: z.array(z.object({ code: z.string(), message: z.string().optional() })).min(1),
})

/** Fails unless the body is errors as the specification has them, with one of those codes. */
export function expectError(answer: Answer, ...codes: string[]): void {
  assert.match(
    answer.header('content-type') ?? 'none',
    /^application\/json\b/,
    `${answer.asked}: the error's Content-Type`,
  )
  const found = Errors.parse(answer.json()).errors.map(each => each.code)
  assert.ok(
    found.some(code => codes.includes(code)),
    `${answer.asked} fails with ${found.join(', ')}, not ${codes.join(' or ')}`,
  )
}

export function expectHeader(answer: Answer, name: string, value: string): void {
  assert.equal(answer.header(name), value, `${answer.asked}: ${name}`)
}

/** Fails unless the bytes are those, without printing them. */
export function expectBytes(answer: Answer, bytes: Buffer): void {
  assert.ok(
    answer.body.equals(bytes),
    `${answer.asked} gives other bytes than were pushed (${answer.body.length}, not ${bytes.length})`,
  )
}
