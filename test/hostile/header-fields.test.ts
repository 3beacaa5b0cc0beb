import fc from 'fast-check'
import t from 'tap'
import { sendRaw, statusOf } from '../support/raw.js'
import { attacks, countOf } from './support/attacks.js'
import { judge } from './support/canonical.js'
import { mutantsOf } from './support/mutants.js'
import { get, HEAD, hostileMirror, LAYER_DIGEST, put } from './support/valid-requests.js'

t.setTimeout(7_200_000)

/** Fields that a proxy may be made to drop, add, trust, pass on or stumble over. */
const NAMES = [
  ...[
    'Host',
    'Authorization',
    'Content-Length',
    'Content-Type',
    'Content-Range',
    'Content-Encoding',
    'Range',
  ],
  ...[
    'Transfer-Encoding',
    'Connection',
    'Keep-Alive',
    'Proxy-Connection',
    'Proxy-Authorization',
    'TE',
    'Trailer',
  ],
  ...[
    'Upgrade',
    'HTTP2-Settings',
    'Expect',
    'If-Range',
    'If-Match',
    'If-None-Match',
    'Via',
    'Forwarded',
    'Max-Forwards',
  ],
  ...[
    'X-Forwarded-For',
    'X-Forwarded-Host',
    'X-Forwarded-Proto',
    'X-Forwarded-Prefix',
    'X-Real-IP',
    'X-Original-URL',
  ],
  ...[
    'X-Rewrite-URL',
    'X-HTTP-Method-Override',
    'X-Amz-Security-Token',
    'X-Amz-Target',
    'X-Amz-Date',
    'Cookie',
  ],
  ...[
    'Accept',
    'Accept-Encoding',
    'Accept-Charset',
    'Origin',
    'Referer',
    'User-Agent',
    'Cache-Control',
    'Pragma',
  ],
  ...[
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'hasOwnProperty',
    ':method',
    ':path',
    '',
    ' ',
    'X Y',
    'X\x00Y',
  ],
  ...[
    'X-Request-Id',
    'Docker-Content-Digest',
    'OCI-Namespace',
    'Location',
    'Set-Cookie',
    'Date',
    'x'.repeat(9_000),
  ],
]

const VALUES = [
  ...[
    '',
    ' ',
    'x',
    '0',
    '-1',
    'close',
    'keep-alive',
    'upgrade',
    'chunked',
    'h2c',
    'websocket',
    'trailers',
    '100-continue',
  ],
  ...[
    'Authorization',
    'Host, Via',
    'close, Authorization',
    'bytes=0-0',
    'bytes 0-4/5',
    '*',
    '*/*',
    'a/b',
    '"',
    '\\',
  ],
  ...[
    'Basic eDp5',
    'Bearer x',
    'evil.example',
    '127.0.0.1',
    '169.254.169.254',
    'http://evil.example/',
    '/v2/secret/tags/list',
  ],
  ...[
    'a\x00b',
    'a\x7fb',
    'a\rb',
    'a\nb',
    'a\r\n b',
    'a\r\nX: y',
    '\xff\xfe',
    '\x80',
    '\t',
    '__proto__',
    '${jndi:ldap://x}',
  ],
  ...[
    'x'.repeat(8_000),
    'x'.repeat(17_000),
    ','.repeat(5_000),
    '%0d%0aX:y',
    'DELETE',
    'multipart/form-data; boundary=x',
  ],
]

const field = (name: string, value: string): string => `${name}: ${value}\r\n`

/** Such fields as must be told once, told twice. */
const TWICE = [
  'Host',
  'Authorization',
  'Content-Length',
  'Content-Type',
  'Range',
  'If-Range',
  'Expect',
  'Content-Range',
]

const WRITTEN = [
  ...NAMES.map(name => get('a', field(name, 'x'))),
  ...VALUES.map(value => get('a', field('X-Any', value))),
  ...VALUES.map(value => get('a', field('Connection', value))),
  ...TWICE.map(name => put('a', field(name, '0') + field(name.toLowerCase(), '0')) + get('z')),
  get('a', field('__proto__', 'x') + field('__proto__', 'y')),
  get('a', 'X: y\r\n'.repeat(98)),
  get('a', 'X: y\r\n'.repeat(1_000)),
  get('a', 'X: y\r\n'.repeat(3_000)),
  get('a', Array.from({ length: 97 }, (_, index) => field(`X-${index}`, 'y')).join('')),
  get('a', Array.from({ length: 1_000 }, (_, index) => field(`X-${index}`, 'y')).join('')),
  get('a', field('X', 'x'.repeat(15_000))),
  get('a', field('X', 'x'.repeat(1_000_000))),
  get('a', field('x'.repeat(1_000_000), 'y')),
  get('a', 'X\r\n'),
  get('a', ': x\r\n'),
  get('a', ' X: folded at the beginning\r\n'),
  get('a', 'X: y\r\n folded\r\n'),
  get('a', 'X : y\r\n'),
  get('a', 'X\t: y\r\n'),
  get('a', 'X: y\n'),
  get('a', 'X: y\r'),
  get('a').replace('Host: m\r\n', ''),
  get('a').replace('Host: m\r\n', 'Host:\r\n'),
  get('a').replace('Host: m', 'Host: evil.example@m'),
  get('a').replace('Host: m', 'Host: m/v2/'),
  get('a').replace('Host: m', 'Host: m m'),
  get('a').replace('Host: m', `Host: ${'m'.repeat(9_000)}`),
]

const FIELDS = fc
  .array(fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom(...VALUES)), { minLength: 1, maxLength: 6 })
  .map(fields => fields.map(([name, value]) => field(name, value)).join(''))

const MUTATED_FIELDS = mutantsOf([
  'Accept: a/b\r\nRange: bytes=0-1\r\nX-Forwarded-For: 10.0.0.1\r\n',
  'Content-Type: a/b\r\nConnection: keep-alive\r\n',
  'User-Agent: docker/27.0\r\nAccept-Encoding: gzip\r\nCookie: a=b\r\n',
])

const SHAPE = fc
  .tuple(fc.oneof(FIELDS, MUTATED_FIELDS), fc.constantFrom('GET', 'HEAD', 'DELETE', 'PUT'))
  .map(([fields, method]) => (method === 'PUT' ? put('a', fields) : get('a', fields, method)))

t.test('of all header fields that a client can think of, the far side sees the allowed ones', async t => {
  const tally = await judge(await hostileMirror(t), attacks('H3', WRITTEN, SHAPE))
  t.ok(tally.attacks >= countOf('H3'))
  t.ok(tally.upstream > 0, 'those of the requests that were carried out')
})

t.test('r04: a Content-Type that is none is refused, and is no failure', async t => {
  const { url, ecr, fetch, log } = await hostileMirror(t)
  await fetch('/v2/team/app/tags/list')
  const before = ecr.requests.length
  for (const type of ['x', 'a/b c', '/', 'a/', ';', 'a\tb/c', '']) {
    for (const line of [
      'PUT /v2/team/app/manifests/x',
      `POST /v2/team/app/blobs/uploads/?digest=${LAYER_DIGEST}`,
      'DELETE /v2/team/app/manifests/none',
    ]) {
      const head = `${line} HTTP/1.1\r\n${HEAD}Connection: close\r\nContent-Type: ${type}\r\n`
      const answer = await sendRaw(url, `${head}Content-Length: 2\r\n\r\n{}`)
      t.equal(statusOf(answer), 415, `${line} with ${type}`)
      t.match(answer, /"code":"UNSUPPORTED"/)
    }
  }
  t.equal(ecr.requests.length, before)
  t.same(log, [], 'nor an error in the log')
})

t.test('r05: what a chunk says of its place is not passed on with a whole blob', async t => {
  const { ecr, fetch } = await hostileMirror(t)
  const headers = { 'content-range': '0-4', 'content-type': 'application/octet-stream' }
  for (const [query, body] of [
    [`?digest=${LAYER_DIGEST}`, 'layer'],
    ['', ''],
  ] as const) {
    const answer = await fetch(`/v2/team/app/blobs/uploads/${query}`, { method: 'POST', headers, body })
    t.equal(answer.status, 202)
  }
  const begun = ecr.requests.filter(({ action }) => action === 'InitiateLayerUpload')
  t.equal(begun.length, 2)
  t.same(
    begun.map(request => request.headers['content-range']),
    [undefined, undefined],
  )
})

t.test('r07: nor is one that only the stricter of two readers refuses', async t => {
  const { url, ecr, log } = await hostileMirror(t)
  for (const type of ['a`b/c', 'a/b`c', 'a/b;']) {
    const head = `PUT /v2/team/app/manifests/x HTTP/1.1\r\n${HEAD}Connection: close\r\nContent-Type: ${type}\r\n`
    t.equal(statusOf(await sendRaw(url, `${head}Content-Length: 2\r\n\r\n{}`)), 415, type)
  }
  t.equal(ecr.count({ action: 'PutImage' }), 0)
  t.same(log, [], 'nor an error in the log')
})
