import fastify from 'fastify'
import t from 'tap'
import { OciError } from '../../src/oci/error.js'
import { gate, refusalOf } from '../../src/registry/gate.js'
import { INSTANCE } from '../../src/version.js'

const host = ['Host', 'mirror']

t.test('a request that every reader reads alike passes', async t => {
  for (const rawHeaders of [
    host,
    [...host, 'Connection', 'close'],
    [...host, 'Connection', 'Keep-Alive'],
    [...host, 'Connection', ''],
    [...host, 'Connection', 'close, , TE,'],
    [...host, 'Connection', 'Upgrade, HTTP2-Settings', 'Upgrade', 'h2c', 'HTTP2-Settings', 'AAMAAABk'],
    [...host, 'Connection', 'upgrade'],
    [...host, 'Connection', 'TE', 'TE', 'trailers', 'Connection', 'close'],
    [...host, 'Connection', 'X-Hop, Proxy-Connection, Cookie', 'X-Hop', '1'],
    [...host, 'Upgrade', 'websocket'],
    [...host, 'Accept', 'a/b', 'Accept', 'c/d'],
    [...host, 'Content-Length', '0'],
    [...host, 'Expect', '100-Continue'],
    [...host, 'Via', '1.1 another-proxy'],
    [...host, 'X-Mirror', INSTANCE],
    [...host, ...Array.from({ length: 99 }, (_, i) => [`x-${i}`, '1']).flat()],
  ]) {
    t.equal(refusalOf({ method: 'GET', httpVersion: '1.1', rawHeaders }), undefined, rawHeaders.join(' '))
  }
  for (const framing of [
    ['Transfer-Encoding', 'chunked'],
    ['Transfer-Encoding', 'Chunked'],
    ['Content-Length', '3'],
  ]) {
    const request = { method: 'PATCH', httpVersion: '1.1', rawHeaders: [...host, ...framing] }
    t.equal(refusalOf(request), undefined, framing.join(': '))
  }
})

t.test('a request that can be read in two ways is refused, with the reason', async t => {
  const notChunked = 'The only transfer coding that is understood is chunked.'
  const badConnection =
    'The Connection header names a field that is meant for all recipients, or is malformed.'
  const rows: [what: string, method: string, version: string, more: string[], status: number, why: string][] =
    [
      ...['0.9', '1.2', '2.0', '1.10', '11.1'].map(
        (version): [string, string, string, string[], number, string] => [
          `HTTP/${version}`,
          'GET',
          version,
          [],
          505,
          'The only versions of HTTP that are understood are 1.1 and 1.0.',
        ],
      ),
      ['another transfer coding', 'PUT', '1.1', ['Transfer-Encoding', 'gzip, chunked'], 501, notChunked],
      ['a hidden transfer coding', 'PUT', '1.1', ['Transfer-Encoding', ',chunked'], 501, notChunked],
      [
        'a transfer coding in HTTP/1.0',
        'PUT',
        '1.0',
        ['Transfer-Encoding', 'chunked'],
        400,
        'A transfer coding needs HTTP/1.1.',
      ],
      ['a body on GET', 'GET', '1.1', ['Content-Length', '3'], 400, 'A GET may not have a body.'],
      [
        'a chunked body on HEAD',
        'HEAD',
        '1.1',
        ['Transfer-Encoding', 'chunked'],
        400,
        'A HEAD may not have a body.',
      ],
      ['headers to be dropped', 'GET', '1.1', ['Connection', 'Authorization'], 400, badConnection],
      ['headers to be dropped as well', 'GET', '1.1', ['Connection', 'close, Range'], 400, badConnection],
      ['headers to be dropped before', 'GET', '1.1', ['Connection', 'Range, close'], 400, badConnection],
      ...[
        ...['Authorization', 'Host', 'Content-Length', 'Transfer-Encoding', 'Content-Type', 'Content-Range'],
        ...['Accept', 'If-Range', 'X-Forwarded-For', 'Via', 'Expect', 'Cache-Control', 'Traceparent'],
      ].map((field): [string, string, string, string[], number, string] => [
        `${field} to be dropped, behind what is harmless`,
        'PUT',
        '1.1',
        ['Connection', 'Upgrade', 'Connection', `TE,\t${field.toUpperCase()} , close`],
        400,
        badConnection,
      ]),
      ['a malformed option', 'GET', '1.1', ['Connection', 'close; x'], 400, badConnection],
      ['two words for one option', 'GET', '1.1', ['Connection', 'keep alive'], 400, badConnection],
      [
        'another expectation',
        'PUT',
        '1.1',
        ['Expect', '200-ok'],
        417,
        'The only expectation that is met is 100-continue.',
      ],
      [
        'a request that the mirror itself sent',
        'GET',
        '1.1',
        ['Via', `1.1 somebody, 1.1 ${INSTANCE}`],
        508,
        'This request is one of the mirror itself: an upstream leads back to it.',
      ],
      [
        '101 headers',
        'GET',
        '1.1',
        Array.from({ length: 100 }, (_, i) => [`x-${i}`, '1']).flat(),
        431,
        'A request may have at most 100 headers.',
      ],
    ]
  for (const [what, method, httpVersion, more, status, message] of rows) {
    const refusal = refusalOf({ method, httpVersion, rawHeaders: [...host, ...more] })
    t.match(refusal, { code: 'UNSUPPORTED', status, message, headers: { connection: 'close' } }, what)
  }
  t.match(refusalOf({ method: 'GET', httpVersion: '1.1', rawHeaders: [] }), {
    status: 400,
    message: 'The request has no Host header.',
  })
})

t.test('a field with one meaning may come once, however it is spelled', async t => {
  const fields: [name: string, value: string][] = [
    ['Host', 'mirror'],
    ['Authorization', 'Basic YTpi'],
    ['Content-Length', '1'],
    ['Content-Range', '0-0'],
    ['Content-Type', 'a/b'],
    ['Expect', '100-continue'],
    ['If-Range', '"x"'],
    ['Range', 'bytes=0-1'],
    ['Transfer-Encoding', 'chunked'],
  ]
  const others = (wanted: string): string[] => (wanted === 'Host' ? [] : host)
  for (const [name, value] of fields) {
    const once = { method: 'PUT', httpVersion: '1.1', rawHeaders: [...others(name), name, value] }
    t.equal(refusalOf(once), undefined, `one ${name}`)
    const twice = { ...once, rawHeaders: [...once.rawHeaders, name.toUpperCase(), value] }
    const message = `The request has more than one ${name.toLowerCase()} header.`
    t.match(refusalOf(twice), { status: 400, message }, `two of ${name}`)
  }
})

t.test('no hook and no handler sees a request that the gate refuses', async t => {
  const app = fastify()
  t.teardown(() => app.close())
  const seen: string[] = []
  gate(app)
  app.addHook('onRequest', async request => void seen.push(request.method))
  app.setErrorHandler((error, _request, reply) =>
    reply.code(error instanceof OciError ? error.status : 500).send(),
  )
  app.all('/', (_request, reply) => reply.send('here'))
  t.equal((await app.inject({ method: 'GET', url: '/', headers: { connection: 'host' } })).statusCode, 400)
  t.same(seen, [])
  t.equal((await app.inject({ method: 'GET', url: '/' })).body, 'here')
  t.same(seen, ['GET'])
})
