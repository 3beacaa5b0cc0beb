import t from 'tap'
import { refusalOf } from '../../src/registry/gate.js'
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
  ]) {
    t.equal(refusalOf({ method: 'GET', httpVersion: '1.1', rawHeaders }), undefined, rawHeaders.join(' '))
  }
  t.equal(
    refusalOf({ method: 'PATCH', httpVersion: '1.1', rawHeaders: [...host, 'Transfer-Encoding', 'chunked'] }),
    undefined,
  )
})

t.test('a request that can be read in two ways is refused', async t => {
  const rows: [string, string, string, string[], number][] = [
    ['two Hosts', 'GET', '1.1', [...host, 'host', 'other'], 400],
    ['no Host', 'GET', '1.1', [], 400],
    ['two Authorizations', 'GET', '1.1', [...host, 'Authorization', 'a', 'authorization', 'b'], 400],
    ['two Content-Lengths', 'PUT', '1.1', [...host, 'Content-Length', '1', 'Content-Length', '1'], 400],
    ['two Ranges', 'GET', '1.1', [...host, 'Range', 'bytes=0-1', 'Range', 'bytes=2-3'], 400],
    ['another transfer coding', 'PUT', '1.1', [...host, 'Transfer-Encoding', 'gzip, chunked'], 501],
    ['a hidden transfer coding', 'PUT', '1.1', [...host, 'Transfer-Encoding', ',chunked'], 501],
    ['a transfer coding in HTTP/1.0', 'PUT', '1.0', [...host, 'Transfer-Encoding', 'chunked'], 400],
    ['a body on GET', 'GET', '1.1', [...host, 'Content-Length', '3'], 400],
    ['a chunked body on HEAD', 'HEAD', '1.1', [...host, 'Transfer-Encoding', 'chunked'], 400],
    ['headers to be dropped', 'GET', '1.1', [...host, 'Connection', 'Authorization'], 400],
    ['an upgrade', 'GET', '1.1', [...host, 'Connection', 'Upgrade', 'Upgrade', 'h2c'], 400],
    [
      '101 headers',
      'GET',
      '1.1',
      [...host, ...Array.from({ length: 100 }, (_, i) => [`x-${i}`, '1']).flat()],
      431,
    ],
  ]
  for (const [what, method, httpVersion, rawHeaders, status] of rows) {
    t.equal(refusalOf({ method, httpVersion, rawHeaders })?.status, status, what)
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
