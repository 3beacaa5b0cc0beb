import t from 'tap'
import { refusalOf } from '../../src/registry/gate.js'
import { INSTANCE } from '../../src/version.js'
import { authorization, startMirror } from '../support/mirror.js'
import { sendRaw, statusOf } from '../support/raw.js'

const host = ['Host', 'mirror']

t.test('a request that every reader reads alike passes', async t => {
  for (const rawHeaders of [
    host,
    [...host, 'Connection', 'close'],
    [...host, 'Connection', 'Keep-Alive'],
    [...host, 'Accept', 'a/b', 'Accept', 'c/d'],
    [...host, 'Content-Length', '0'],
    [...host, 'Expect', '100-Continue'],
    [...host, 'Via', '1.1 another-proxy'],
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
  const badConnection = 'The Connection header may only be close or keep-alive.'
  const rows: [what: string, method: string, version: string, more: string[], status: number, why: string][] =
    [
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
      ['an upgrade', 'GET', '1.1', ['Connection', 'Upgrade', 'Upgrade', 'h2c'], 400, badConnection],
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

t.test('what the gate refuses over a socket reaches nobody and ends the connection', async t => {
  const { url, ecr } = await startMirror(t)
  await ecr.arrived({ action: 'GetAuthorizationToken' })
  const before = ecr.requests.length
  const auth = `Connection: close\r\nAuthorization: ${authorization}\r\n`
  const rows: [string, string, number][] = [
    ['two Hosts', `GET /v2/a/tags/list HTTP/1.1\r\nHost: a\r\nHost: b\r\n${auth}\r\n`, 400],
    ['no Host', `GET /v2/a/tags/list HTTP/1.1\r\n${auth}\r\n`, 400],
    [
      'a body on GET',
      `GET /v2/a/tags/list HTTP/1.1\r\nHost: a\r\n${auth}Content-Length: 5\r\n\r\nhello`,
      400,
    ],
    [
      'both framings',
      `POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: a\r\n${auth}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    [
      'an odd coding',
      `POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: a\r\n${auth}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
      501,
    ],
    ['an absolute target', `GET http://evil/v2/ HTTP/1.1\r\nHost: a\r\n${auth}\r\n`, 400],
    ['an escape', `GET /v2/%61/tags/list HTTP/1.1\r\nHost: a\r\n${auth}\r\n`, 400],
    ['a backslash', `GET /v2/a\\b/tags/list HTTP/1.1\r\nHost: a\r\n${auth}\r\n`, 400],
    ['dots', `GET /v2/a/../b/tags/list HTTP/1.1\r\nHost: a\r\n${auth}\r\n`, 400],
    ['a broken escape', `GET /v2/%zz HTTP/1.1\r\nHost: a\r\n${auth}\r\n`, 400],
    ['17 KiB of headers', `GET /v2/ HTTP/1.1\r\nHost: a\r\n${auth}X: ${'x'.repeat(17 * 1024)}\r\n\r\n`, 431],
    ['no HTTP', 'HELLO\r\n\r\n', 400],
  ]
  for (const [what, bytes, status] of rows) {
    const answer = await sendRaw(url, bytes)
    t.equal(statusOf(answer), status, what)
    t.match(answer, /"errors":\[\{"code":"/, `${what}: the body is an OCI error`)
    t.match(answer, /docker-distribution-api-version: registry\/2\.0/i, `${what}: the API version is said`)
  }
  t.equal(ecr.requests.length, before, 'nothing went upstream')
})
