import { randomBytes, randomUUID } from 'node:crypto'
import type { Registry } from './accounts.js'
import type { Content } from './content.js'
import { playFaults } from './faults.js'
import type { Knobs } from './knobs.js'
import { newSigner, presign, verify } from './presign.js'
import { sendContent } from './send-content.js'
import type { Exchange } from './server.js'
import type { Quotas } from './quotas.js'

/** The layer bucket: objects by a path that does not tell their digest, read by pre-signed GETs only. */
export class LayerBucket {
  readonly #signer = newSigner()
  readonly #knobs: Knobs
  readonly #quotas: Quotas
  readonly #objects = new Map<string, Content>()
  readonly #paths = new WeakMap<Content, string>()
  /** host[:port] that URLs name, and their scheme; known once the listener is up. */
  host = ''
  scheme = 'http'

  constructor(knobs: Knobs, quotas: Quotas) {
    this.#knobs = knobs
    this.#quotas = quotas
  }

  /** The Location for a blob, with as many stops on the way as the knobs say; null for none at all. */
  locationOf(content: Content, registry: Registry): string | null {
    const { redirectHost, redirectHops, redirectTo, presignTtl } = this.#knobs
    const path = this.#pathOf(content, registry.account)
    const named = typeof redirectHost === 'function' ? redirectHost(registry.region) : redirectHost
    const host = named ?? this.host
    const target = presign(this.#signer, { host, path, region: registry.region, ttlSeconds: presignTtl })
    const stops = redirectHops > 1 ? `/hop/${redirectHops - 1}` : ''
    const location = `${this.scheme}://${host}${stops}${target}`
    if (redirectTo === undefined) return location
    return typeof redirectTo === 'function' ? redirectTo(location) : redirectTo
  }

  async handle(exchange: Exchange): Promise<void> {
    const { request, response, path, query, record } = exchange
    const knobs = this.#knobs
    record.action = 'GetObject'
    if (await playFaults(exchange, knobs, 'GetObject')) return
    if (!this.#quotas.allow(knobs, 'GetObject', 's3')) {
      slowDown(exchange)
      return
    }

    const hop = /^\/hop\/(\d+)(\/.*)$/.exec(path)
    if (hop) {
      const [, left = '1', rest = ''] = hop
      const stops = Number(left) > 1 ? `/hop/${Number(left) - 1}` : ''
      const search = (request.url ?? '').slice((request.url ?? '').indexOf('?'))
      const location = `${this.scheme}://${request.headers.host ?? this.host}${stops}${rest}${search}`
      return void response.writeHead(knobs.redirectStatus, { Location: location, 'Content-Length': 0 }).end()
    }
    if (knobs.s3.slowDown > 0) {
      knobs.s3.slowDown -= 1
      slowDown(exchange)
      return
    }
    if (knobs.s3.rejectAuthorization && request.headers.authorization !== undefined) {
      const one =
        'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified'
      fail(exchange, 400, 'InvalidArgument', one, {
        ArgumentName: 'Authorization',
        ArgumentValue: request.headers.authorization,
      })
      return
    }
    const method = request.method === 'HEAD' && !knobs.s3.headForbidden ? 'GET' : (request.method ?? '')
    const verdict = verify(this.#signer, { method, host: request.headers.host ?? '', path, query })
    if (verdict === 'unsigned') {
      fail(exchange, 403, 'AccessDenied', 'Access Denied')
      return
    }
    if (verdict === 'wrong signature') {
      const text =
        'The request signature we calculated does not match the signature you provided. Check your key and signing method.'
      fail(exchange, 403, 'SignatureDoesNotMatch', text, {
        AWSAccessKeyId: this.#signer.accessKeyId,
        SignatureProvided: query.get('X-Amz-Signature') ?? '',
      })
      return
    }
    if (verdict === 'expired' || knobs.s3.expired > 0) {
      if (verdict !== 'expired') knobs.s3.expired -= 1
      fail(exchange, 403, 'AccessDenied', 'Request has expired', {
        'X-Amz-Expires': query.get('X-Amz-Expires') ?? '',
        ServerTime: new Date().toISOString(),
      })
      return
    }
    const content = this.#objects.get(path)
    if (!content) {
      fail(exchange, 404, 'NoSuchKey', 'The specified key does not exist.', { Key: path.slice(1) })
      return
    }
    const headers = {
      ...requestIds(),
      'Last-Modified': 'Wed, 05 Jun 2024 21:05:50 GMT',
      ETag: `"${path.slice(-36).replaceAll('-', '')}"`,
      'Content-Type': 'application/octet-stream',
      Server: 'AmazonS3',
    }
    await sendContent(exchange, content, knobs.s3, headers, () =>
      fail(exchange, 416, 'InvalidRange', 'The requested range is not satisfiable', {
        RangeRequested: request.headers.range ?? '',
        ActualObjectSize: String(content.size),
      }),
    )
  }

  #pathOf(content: Content, account: string): string {
    const known = this.#paths.get(content)
    if (known !== undefined) return known
    const path = `/c814-${account}-${randomUUID()}/${randomUUID()}`
    this.#paths.set(content, path)
    this.#objects.set(path, content)
    return path
  }
}

function slowDown(exchange: Exchange): void {
  fail(exchange, 503, 'SlowDown', 'Please reduce your request rate.')
}

/** An S3 error: XML, and nothing on HEAD (Amazon S3 API reference, "Error responses"). */
function fail(
  { request, response }: Exchange,
  status: number,
  code: string,
  message: string,
  details: Record<string, string> = {},
): void {
  const ids = requestIds()
  const elements = {
    Code: code,
    Message: message,
    ...details,
    RequestId: ids['x-amz-request-id'],
    HostId: ids['x-amz-id-2'],
  }
  const inner = Object.entries(elements).map(([name, text]) => `<${name}>${escaped(text)}</${name}>`)
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error>${inner.join('')}</Error>`
  const range = status === 416 ? { 'Content-Range': `bytes */${details['ActualObjectSize'] ?? ''}` } : {}
  response.writeHead(status, {
    ...ids,
    ...range,
    'Content-Type': 'application/xml',
    ...(request.method !== 'HEAD' && { 'Content-Length': Buffer.byteLength(body) }),
    Server: 'AmazonS3',
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

function requestIds(): { 'x-amz-id-2': string; 'x-amz-request-id': string } {
  return {
    'x-amz-id-2': randomBytes(57).toString('base64'),
    'x-amz-request-id': randomBytes(8).toString('hex').toUpperCase(),
  }
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
