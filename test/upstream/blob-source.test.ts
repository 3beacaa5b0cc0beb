import { createHash } from 'node:crypto'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import type { ByteRange } from '../../src/oci/byte-range.js'
import { digestOf, parseDigest, type Digest } from '../../src/oci/digest.js'
import { parseRepository, type Repository } from '../../src/oci/reference.js'
import {
  createBlobSource,
  type BlobBody,
  type BlobSource,
  type OpenBlob,
} from '../../src/upstream/blob-source.js'
import { createDispatcher } from '../../src/upstream/egress.js'
import { createRedirectRules } from '../../src/upstream/redirect-rules.js'
import type { Answer } from '../../src/upstream/send.js'
import { transport } from '../../src/upstream/transport.js'
import { never, serve, type TestServer, text, until } from './support/server.js'

const CONTENT = '0123456789'
const digest = parseDigest(`sha256:${createHash('sha256').update(CONTENT).digest('hex')}`) as Digest
const repository = parseRepository('team/app') as Repository

/** Like S3: ranges of one blob. */
function content(incoming: IncomingMessage, response: ServerResponse): void {
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(incoming.headers.range ?? '') ?? []
  if (incoming.headers.range === undefined) {
    response.setHeader('content-length', CONTENT.length).end(CONTENT)
    return
  }
  const first = from === '' ? CONTENT.length - Number(to) : Number(from)
  const last = from === '' || to === '' ? CONTENT.length - 1 : Math.min(Number(to), CONTENT.length - 1)
  if (first >= CONTENT.length) {
    response.writeHead(416, { 'content-range': `bytes */${CONTENT.length}` }).end('<Error/>')
    return
  }
  const bytes = CONTENT.slice(first, last + 1)
  response
    .writeHead(206, {
      'content-range': `bytes ${first}-${last}/${CONTENT.length}`,
      'content-length': bytes.length,
    })
    .end(bytes)
}

interface Stand {
  blobs: BlobSource
  registry: TestServer
  storage: TestServer
}

interface StandOptions {
  registry?: (storage: TestServer) => RequestListener
  storage?: RequestListener
  redirectHosts?: (storage: TestServer) => string[]
  patience?: number
}

const redirect =
  (location: string, status = 307): RequestListener =>
  (_incoming, response) =>
    response.writeHead(status, { location }).end('moved')

async function stand(t: Test, options: StandOptions = {}): Promise<Stand> {
  const storage = await serve(t, options.storage ?? content)
  const listener = options.registry?.(storage) ?? redirect(`${storage.origin}/key?X-Amz-Signature=canary`)
  const registry = await serve(t, listener)
  const rules = createRedirectRules(options.redirectHosts?.(storage) ?? [`127.0.0.1:${storage.port}`])
  const toRegistry = createDispatcher({ trustOf: () => 'listed' })
  const toStorage = createDispatcher({ trustOf: (host, port) => rules.trustOf(host, port) })
  t.teardown(() => Promise.all([toRegistry.destroy(), toStorage.destroy()]))
  const send = transport({
    upstream: 'main',
    origin: registry.origin,
    host: 'registry.example',
    dispatcher: toRegistry,
  })
  const authorized: typeof send = request =>
    send({ ...request, headers: { ...request.headers, authorization: 'Basic canary' } })
  const blobs = createBlobSource({
    upstream: 'main',
    origin: registry.origin,
    send: authorized,
    storage: toStorage,
    rules,
    backoff: 1,
    ...(options.patience !== undefined && { patience: options.patience }),
  })
  return { blobs, registry, storage }
}

function isBody(opened: OpenBlob | Answer): opened is OpenBlob {
  return 'status' in opened
}

async function read(
  blobs: BlobSource,
  range?: ByteRange,
): Promise<Omit<BlobBody, 'body'> & { content: string }> {
  const opened = await blobs.open(repository, digest, range, never)
  if (!isBody(opened)) throw new Error(`answered ${opened.statusCode}`)
  return contentOf(opened)
}

async function contentOf({ status, size, first, last, length, body }: BlobBody) {
  return { status, size, first, last, length, content: await text(body) }
}

/** The error, which in no case has the URL in it. */
async function refusal(t: Test, promise: Promise<unknown>): Promise<object> {
  const error: unknown = await promise.then(
    () => t.fail('should have been refused'),
    (error: unknown) => error,
  )
  t.notMatch((error as Error).message, /canary|127\.0\.0\.1|http|Amz|<Error/)
  return error as object
}

for (const status of [301, 302, 303, 307, 308]) {
  t.test(`a ${status} is followed without the token`, async t => {
    const { blobs, storage, registry } = await stand(t, {
      registry: storage => redirect(`${storage.origin}/key?a=b`, status),
    })
    t.same(await read(blobs), { status: 200, size: 10, first: 0, last: 9, length: 10, content: CONTENT })
    t.equal(registry.requests[0]?.headers.authorization, 'Basic canary')
    t.match(registry.requests[0], {
      url: `/v2/team/app/blobs/${digest}`,
      headers: { 'accept-encoding': 'identity' },
    })
    const { headers, url } = storage.requests[0] as IncomingMessage
    t.equal(url, '/key?a=b')
    t.same(Object.keys(headers).sort(), ['accept-encoding', 'connection', 'host', 'user-agent'])
    t.equal(headers['accept-encoding'], 'identity')
  })
}

t.test('a registry that serves blobs itself is read as it is', async t => {
  const { blobs } = await stand(t, { registry: () => content })
  t.match(await read(blobs), { status: 200, content: CONTENT })
  t.match(await read(blobs, { first: 2, last: 4 }), { status: 206, content: '234' })
})

for (const [title, range, expected] of [
  ['from the middle', { first: 3, last: undefined }, { first: 3, last: 9, length: 7, content: '3456789' }],
  ['a part', { first: 2, last: 4 }, { first: 2, last: 4, length: 3, content: '234' }],
  ['a part beyond the end', { first: 8, last: 99 }, { first: 8, last: 9, length: 2, content: '89' }],
  ['the end', { suffix: 3 }, { first: 7, last: 9, length: 3, content: '789' }],
] as const) {
  t.test(`a range ${title} is read`, async t => {
    const { blobs } = await stand(t)
    t.same(await read(blobs, range), { status: 206, size: 10, ...expected })
  })
}

t.test('a range beyond the end is a 416 with the size', async t => {
  const { blobs, registry } = await stand(t)
  const error = await refusal(t, blobs.open(repository, digest, { first: 10, last: undefined }, never))
  t.match(error, { status: 416, headers: { 'content-range': 'bytes */10' } })
  t.equal(registry.requests.length, 1)
})

t.test('the whole in place of a range is told as the whole', async t => {
  const whole: RequestListener = (_incoming, response) =>
    response.setHeader('content-length', 10).end(CONTENT)
  const { blobs } = await stand(t, { storage: whole })
  t.same(await read(blobs, { first: 5, last: 6 }), {
    status: 200,
    size: 10,
    first: 0,
    last: 9,
    length: 10,
    content: CONTENT,
  })
})

const wrong: Record<string, [Record<string, string>, number, ByteRange?]> = {
  'another range': [{ 'content-range': 'bytes 3-5/10' }, 206, { first: 2, last: 4 }],
  'a shorter range': [{ 'content-range': 'bytes 2-3/10' }, 206, { first: 2, last: 4 }],
  'a range without a total': [{ 'content-range': 'bytes 2-4/*' }, 206, { first: 2, last: 4 }],
  'several ranges': [{ 'content-type': 'multipart/byteranges; boundary=x' }, 206, { first: 2, last: 4 }],
  'a range nobody asked for': [{ 'content-range': 'bytes 0-4/10' }, 206],
  'a length that contradicts the range': [
    { 'content-range': 'bytes 2-4/10', 'content-length': '5' },
    206,
    { first: 2, last: 4 },
  ],
  'a compressed blob': [{ 'content-encoding': 'gzip', 'content-length': '5' }, 200],
  'a blob of unknown length': [{}, 200],
}
for (const [title, [headers, status, range]] of Object.entries(wrong)) {
  t.test(`${title} is a 502`, async t => {
    const { blobs } = await stand(t, {
      storage: (_incoming, response) => {
        response.writeHead(status, headers)
        response.end('12345')
      },
    })
    t.match(await refusal(t, blobs.open(repository, digest, range, never)), { status: 502 })
  })
}

for (const status of [400, 403, 404]) {
  t.test(`storage that answers ${status} is asked once more with a new redirect`, async t => {
    let refusals = 1
    const storage: RequestListener = (incoming, response) => {
      if (refusals-- > 0)
        response.writeHead(status, { 'content-type': 'application/xml' }).end('<Error>canary</Error>')
      else content(incoming, response)
    }
    const { blobs, registry } = await stand(t, { storage })
    t.match(await read(blobs), { content: CONTENT })
    t.equal(registry.requests.length, 2)
    refusals = 99
    t.match(await refusal(t, blobs.open(repository, digest, undefined, never)), { status: 502 })
    t.equal(registry.requests.length, 4)
  })
}

for (const status of [429, 500, 503]) {
  t.test(`storage that answers ${status} is asked twice more`, async t => {
    let failures = 2
    const storage: RequestListener = (incoming, response) => {
      if (failures-- > 0) response.writeHead(status).end('<Error><Code>SlowDown</Code></Error>')
      else content(incoming, response)
    }
    const { blobs, registry } = await stand(t, { storage })
    t.match(await read(blobs), { content: CONTENT })
    failures = 99
    t.match(await refusal(t, blobs.open(repository, digest, undefined, never)), { status: 502 })
    t.equal(registry.requests.length, 6)
  })
}

t.test('storage that hangs up is asked again, and is a 502 in the end', async t => {
  let drops = 1
  const storage: RequestListener = (incoming, response) => {
    if (drops-- > 0) incoming.socket.destroy()
    else content(incoming, response)
  }
  const { blobs } = await stand(t, { storage })
  t.match(await read(blobs), { content: CONTENT })
  drops = 99
  t.match(await refusal(t, blobs.open(repository, digest, undefined, never)), {
    status: 502,
    message: /"main"/,
  })
})

t.test('without patience there is one try', async t => {
  const { blobs, registry } = await stand(t, {
    storage: (_incoming, response) => response.writeHead(503).end(),
    patience: 0,
  })
  t.match(await refusal(t, blobs.open(repository, digest, undefined, never)), { status: 502 })
  t.equal(registry.requests.length, 1)
})

t.test('two hops are followed and a third is not', async t => {
  let hops = 1
  const storage: RequestListener = (incoming, response) => {
    if (hops-- > 0) response.writeHead(307, { location: '/next' }).end()
    else content(incoming, response)
  }
  const { blobs, storage: server } = await stand(t, { storage })
  t.match(await read(blobs), { content: CONTENT })
  t.same(
    server.requests.map(({ url }) => url),
    ['/key?X-Amz-Signature=canary', '/next'],
  )
  hops = 2
  t.match(await refusal(t, blobs.open(repository, digest, undefined, never)), { status: 502 })
  t.equal(server.requests.length, 4)
})

for (const [location, asked] of [
  ['http://127.0.0.1:1/key?X-Amz-Signature=canary', 4],
  ['https://evil.example/canary', 4],
  ['http://169.254.169.254/latest/meta-data/', 4],
  ['file:///etc/passwd', 1],
  ['https://user:secret@evil.example/canary', 1],
  ['//evil.example/canary', 4],
  ['/v2/team/app/elsewhere', 4],
] as const) {
  t.test(`a redirect to ${location} is a 502, and nothing is connected to`, async t => {
    const { blobs, storage, registry } = await stand(t, { registry: () => redirect(location) })
    t.match(await refusal(t, blobs.open(repository, digest, undefined, never)), {
      status: 502,
      message: /redirectHosts/,
    })
    t.equal(storage.requests.length, 0)
    t.equal(registry.requests.length, asked, 'asked again where ECR may be importing')
  })
}

t.test(
  'a redirect elsewhere is asked about again, until the registry has the blob or patience ends',
  async t => {
    let asked = 0
    const importing = await stand(t, {
      registry: storage => (incoming, response) =>
        redirect(++asked < 3 ? 'https://cdn.example/layer' : `${storage.origin}/key`)(incoming, response),
    })
    t.match(await read(importing.blobs), { content: CONTENT })
    t.equal(asked, 3)
    const impatient = await stand(t, { registry: () => redirect('https://cdn.example/layer'), patience: 0 })
    const refused = await refusal(t, impatient.blobs.open(repository, digest, undefined, never))
    t.match(refused, { status: 502, host: 'cdn.example' })
    t.equal(impatient.registry.requests.length, 1)
  },
)

t.test('a listed name that was not listed as an address may not lead to this machine', async t => {
  const { blobs, storage } = await stand(t, {
    registry: storage => redirect(`http://localhost:${storage.port}/key?canary`),
    redirectHosts: storage => [`local*:${storage.port}`],
  })
  t.match(await refusal(t, blobs.open(repository, digest, undefined, never)), {
    status: 502,
    message: /internal address/,
  })
  t.equal(storage.requests.length, 0)
})

t.test('a redirect to nowhere is a 502', async t => {
  const { blobs } = await stand(t, { registry: () => (_incoming, response) => response.writeHead(307).end() })
  t.match(await refusal(t, blobs.open(repository, digest, undefined, never)), { status: 502 })
})

t.test("the registry's own refusal is given as it is", async t => {
  const { blobs } = await stand(t, {
    registry: () => (_incoming, response) => response.writeHead(404).end('BLOB_UNKNOWN'),
  })
  const opened = await blobs.open(repository, digest, undefined, never)
  if (isBody(opened)) return t.fail('should be an answer')
  t.equal(opened.statusCode, 404)
  t.equal(await text(opened.body), 'BLOB_UNKNOWN')
  const stated = await blobs.stat(repository, digest, never)
  t.match(stated, { statusCode: 404 })
})

t.test('who leaves while storage is silent leaves nothing open', async t => {
  const { blobs, storage } = await stand(t, { storage: () => undefined })
  const leaver = new AbortController()
  const reason = new Error('gone')
  const opening = blobs.open(repository, digest, undefined, leaver.signal)
  await until(() => storage.requests.length === 1)
  leaver.abort(reason)
  await t.rejects(opening, reason)
  await until(async () => (await storage.connections()) === 0)
})

t.test('a size is asked by HEAD', async t => {
  const { blobs, registry, storage } = await stand(t, {
    registry: () => (_incoming, response) => response.setHeader('content-length', 1234).end(),
  })
  t.same(await blobs.stat(repository, digest, never), { size: 1234 })
  t.equal(registry.requests[0]?.method, 'HEAD')
  t.equal(storage.requests.length, 0)
})

t.test('where HEAD is redirected too, the size comes from the first byte', async t => {
  const { blobs, storage } = await stand(t)
  t.same(await blobs.stat(repository, digest, never), { size: 10 })
  t.same(
    storage.requests.map(({ method, headers }) => [method, headers.range]),
    [['GET', 'bytes=0-0']],
  )
})

t.test('where HEAD is redirected too, nothing has the size nought', async t => {
  const { blobs } = await stand(t, {
    storage: (_incoming, response) => response.writeHead(416, { 'content-range': 'bytes */0' }).end(),
  })
  t.same(await blobs.stat(repository, digestOf(Buffer.alloc(0)), never), { size: 0 })
  t.match(await refusal(t, blobs.stat(repository, digest, never)), { status: 502 }, 'and nothing else has')
})

t.test('an empty blob is read', async t => {
  const { blobs } = await stand(t, {
    storage: (_incoming, response) => response.setHeader('content-length', 0).end(),
  })
  const opened = await blobs.open(repository, digestOf(Buffer.alloc(0)), undefined, never)
  if (!isBody(opened)) return t.fail('should be a body')
  t.same(await contentOf(opened), { status: 200, size: 0, first: 0, last: -1, length: 0, content: '' })
  t.match(await refusal(t, read(blobs)), { status: 502 }, 'but not under the digest of something')
})

t.test('further ranges come from the same place, without asking the registry anew', async t => {
  const { blobs, registry, storage } = await stand(t)
  const opened = await blobs.open(repository, digest, { first: 0, last: 2 }, never)
  if (!isBody(opened)) return t.fail('should be a body')
  t.match(await contentOf(opened), { status: 206, content: '012' })
  const more = await opened.again({ first: 5, last: 7 }, never)
  t.match(await contentOf(more), { status: 206, size: 10, first: 5, last: 7, content: '567' })
  t.match(await contentOf(await more.again({ first: 8, last: 9 }, never)), { content: '89' })
  t.equal(registry.requests.length, 1)
  t.same(new Set(storage.requests.map(({ url }) => url)).size, 1)
})

t.test('a registry that serves blobs itself is asked for further ranges', async t => {
  const { blobs, registry, storage } = await stand(t, { registry: () => content })
  const opened = await blobs.open(repository, digest, { first: 0, last: 2 }, never)
  if (!isBody(opened)) return t.fail('should be a body')
  opened.body.resume()
  t.match(await contentOf(await opened.again({ first: 5, last: 7 }, never)), { content: '567' })
  t.equal(registry.requests.length, 2)
  t.equal(storage.requests.length, 0)
})

t.test('a place that has expired says so, in words of its own', async t => {
  let expired = false
  const { blobs } = await stand(t, {
    storage: (incoming, response) => {
      if (expired) response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>')
      else content(incoming, response)
    },
  })
  const opened = await blobs.open(repository, digest, { first: 0, last: 2 }, never)
  if (!isBody(opened)) return t.fail('should be a body')
  opened.body.resume()
  expired = true
  t.match(await refusal(t, opened.again({ first: 5, last: 7 }, never)), { status: 502 })
})
