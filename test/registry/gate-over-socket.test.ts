import t from 'tap'
import { authorization, startMirror } from '../support/mirror.js'
import { sendRaw, statusOf } from '../support/raw.js'

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
  const spaced = await sendRaw(
    url,
    `GET /v2/ HTTP/1.1\r\nHost: a\r\n${auth.replace('close', ' \tclose\t ')}\r\n`,
  )
  t.equal(statusOf(spaced), 200, 'white space around a value is none of it')
})
