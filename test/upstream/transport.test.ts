import { once } from 'node:events'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import { createDispatcher, type DispatcherOptions } from '../../src/upstream/egress.js'
import type { Send } from '../../src/upstream/send.js'
import { ConnectionFailure } from '../../src/upstream/transport-error.js'
import { transport } from '../../src/upstream/transport.js'
import { failure, request, serve, text, until } from './support/server.js'

const HOST = '123456789012.dkr.ecr.us-east-1.amazonaws.com'

function transportTo(t: Test, origin: string, options: Partial<DispatcherOptions> = {}): Send {
  const dispatcher = createDispatcher({ trustOf: () => 'listed', servername: HOST, ...options })
  t.teardown(() => dispatcher.destroy())
  return transport({ upstream: 'main', origin, host: HOST, dispatcher })
}

t.test('a request arrives as it is, under the registry host name', async t => {
  const server = await serve(t, (incoming, response) => {
    incoming.pipe(response)
  })
  const send = transportTo(t, server.origin)
  const answer = await send(
    request({
      method: 'PUT',
      path: '/v2/app/manifests/latest?tag=a',
      headers: { 'content-type': 'a/b', 'accept-encoding': 'identity', authorization: 'Basic x' },
      body: Buffer.from('manifest'),
    }),
  )
  t.equal(answer.statusCode, 200)
  t.equal(await text(answer.body), 'manifest')
  t.match(server.requests[0], { method: 'PUT', url: '/v2/app/manifests/latest?tag=a' })
  t.same(server.requests[0]?.headers, {
    host: HOST,
    connection: 'keep-alive',
    'content-type': 'a/b',
    'accept-encoding': 'identity',
    authorization: 'Basic x',
    'content-length': '8',
  })
})

t.test(
  'headers that frame or route, and what cannot stand in one, are refused and nothing is sent',
  async t => {
    const server = await serve(t, (_incoming, response) => response.end())
    const send = transportTo(t, server.origin)
    for (const headers of [
      { host: 'evil' },
      { connection: 'close' },
      { 'transfer-encoding': 'chunked' },
      { upgrade: 'h2c' },
      { accept: 'a\r\nx: y' },
      { accept: 'a\0' },
      { accept: 'ä' },
      { 'x y': 'a' },
      { Accept: 'a' },
    ] as Record<string, string>[]) {
      t.match(await failure(send(request({ headers }))), { status: 400 }, JSON.stringify(headers))
    }
    for (const path of ['/', 'http://evil/v2/', '/v2/a b', '/v2/\r\n', '/v3/x', '/v2/ä']) {
      t.match(await failure(send(request({ path }))), { status: 400 }, path)
    }
    t.equal(server.requests.length, 0)
  },
)

t.test('HEADs use one connection again', async t => {
  const server = await serve(t, (_incoming, response) => response.setHeader('content-length', 5).end())
  const send = transportTo(t, server.origin, { connections: 1 })
  for (let i = 0; i < 20; i++) {
    const answer = await send(request({ method: 'HEAD' }))
    t.equal(await text(answer.body), '')
    t.equal(answer.headers['content-length'], '5')
  }
  t.equal(server.opened(), 1)
})

t.test('a pool is bounded, and what waits in it is sent in the end', async t => {
  let open = 0
  let most = 0
  const server = await serve(t, (_incoming, response) => {
    most = Math.max(most, ++open)
    setTimeout(() => {
      open--
      response.end('x')
    }, 5)
  })
  const send = transportTo(t, server.origin, { connections: 4 })
  const answers = await Promise.all(
    Array.from({ length: 40 }, () => send(request()).then(({ body }) => text(body))),
  )
  t.same(new Set(answers), new Set(['x']))
  t.equal(most, 4)
})

t.test('ten thousand that leave before an answer leave nothing behind', async t => {
  let silent = true
  const server = await serve(t, (_incoming, response) => {
    if (!silent) response.end('served')
  })
  const send = transportTo(t, server.origin, { connections: 32 })
  const gone = new Error('the client has gone')
  for (let wave = 0; wave < 20; wave++) {
    const leavers = Array.from({ length: 500 }, () => new AbortController())
    const outcomes = Promise.allSettled(leavers.map(({ signal }) => send(request({ signal }))))
    await until(() => server.requests.length > wave)
    for (const leaver of leavers) leaver.abort(gone)
    for (const outcome of await outcomes) {
      if (outcome.status !== 'rejected' || outcome.reason !== gone) t.fail('not the reason of the signal')
    }
  }
  silent = false
  const next = await send(request())
  t.equal(await text(next.body), 'served')
  await until(async () => (await server.connections()) <= 1)
  t.ok((await server.connections()) <= 1, 'no connection of theirs is open')
})

t.test('one that leaves in the middle of a body frees its connection', async t => {
  const server = await serve(t, (_incoming, response) => {
    response.write('beginning')
  })
  const send = transportTo(t, server.origin)
  const leaver = new AbortController()
  const answer = await send(request({ signal: leaver.signal }))
  const failed = once(answer.body, 'close').catch(() => undefined)
  leaver.abort(new Error('gone'))
  await failed
  t.ok(answer.body.destroyed)
  await until(async () => (await server.connections()) === 0)
})

t.test('a signal that has aborted already sends nothing', async t => {
  const server = await serve(t, (_incoming, response) => response.end())
  const reason = new Error('gone')
  await t.rejects(transportTo(t, server.origin)(request({ signal: AbortSignal.abort(reason) })), reason)
  t.equal(server.requests.length, 0)
})

t.test('nobody listening is a 502 that names the upstream and not its address', async t => {
  const tcp = createTcpServer().listen(0, '127.0.0.1')
  await once(tcp, 'listening')
  const { port } = tcp.address() as AddressInfo
  tcp.close()
  await once(tcp, 'close')
  const error: unknown = await transportTo(
    t,
    `http://127.0.0.1:${port}`,
  )(request()).catch((error: unknown) => error)
  t.ok(error instanceof ConnectionFailure)
  t.match(error, { status: 502, sent: false, message: /upstream "main"/ })
  t.notMatch((error as Error).message, /127\.0\.0\.1|ECONN/)
})

t.test(
  'a connection closed before an answer is a 502, with a hint at the repository when an upload begins',
  async t => {
    const server = await serve(t, incoming => incoming.socket.destroy())
    const send = transportTo(t, server.origin)
    t.match(await failure(send(request())), { status: 502, sent: true, message: /Try again/ })
    t.match(
      await failure(
        send(request({ method: 'POST', action: 'InitiateLayerUpload', path: '/v2/app/blobs/uploads/' })),
      ),
      {
        status: 502,
        sent: true,
        message: /repository does not exist/,
      },
    )
  },
)

t.test('headers that do not come are a 504', async t => {
  const server = await serve(t, () => undefined)
  t.match(await failure(transportTo(t, server.origin, { headersTimeout: 50 })(request())), { status: 504 })
})

t.test('a body that stops coming ends in an error', async t => {
  const server = await serve(t, (_incoming, response) => {
    response.setHeader('content-length', 100).write('some')
  })
  const answer = await transportTo(t, server.origin, { bodyTimeout: 50 })(request())
  await t.rejects(text(answer.body))
})

t.test('a body that is cut short ends in an error', async t => {
  const server = await serve(t, (_incoming, response) => {
    response.setHeader('content-length', 100).write('some', () => response.destroy())
  })
  const answer = await transportTo(t, server.origin)(request())
  await t.rejects(text(answer.body))
})

t.test('an answer in the middle of an upload is an answer', async t => {
  const server = await serve(t, (_incoming, response) => {
    response.statusCode = 403
    response.end('no')
  })
  const body = new PassThrough()
  body.on('error', () => undefined)
  body.write(Buffer.alloc(1000))
  const answer = await transportTo(
    t,
    server.origin,
  )(request({ method: 'PATCH', action: 'UploadLayerPart', path: '/v2/app/blobs/uploads/1', body }))
  t.equal(answer.statusCode, 403)
  t.equal(await text(answer.body), 'no')
  await until(() => body.destroyed)
})

t.test('a streamed body of any length arrives whole', async t => {
  const server = await serve(t, (incoming, response) => {
    let length = 0
    incoming
      .on('data', (chunk: Buffer) => (length += chunk.length))
      .on('end', () => response.end(String(length)))
  })
  const send = transportTo(t, server.origin)
  for (const headers of [{}, { 'content-length': '300000' }] as Record<string, string>[]) {
    const body = new PassThrough()
    const sent = send(
      request({ method: 'PATCH', action: 'UploadLayerPart', path: '/v2/app/blobs/uploads/1', headers, body }),
    )
    for (let i = 0; i < 3; i++) body.write(Buffer.alloc(100_000))
    body.end()
    t.equal(await text((await sent).body), '300000')
  }
  t.equal(server.requests[0]?.headers['transfer-encoding'], 'chunked')
  t.equal(server.requests[1]?.headers['content-length'], '300000')
})
