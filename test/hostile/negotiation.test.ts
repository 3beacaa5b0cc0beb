import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { Connection } from '../support/connection.js'
import { sendRaw } from '../support/raw.js'
import { attacks, countOf } from './support/attacks.js'
import { judge } from './support/canonical.js'
import type { RawAnswer } from './support/raw-attack.js'
import { get, HEAD, hostileMirror, LAYER_DIGEST, MANIFEST_BYTES, put } from './support/valid-requests.js'

t.setTimeout(7_200_000)

const MANIFEST_TYPES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
]
const CODINGS = [
  'gzip',
  'zstd',
  'br',
  'deflate',
  'compress',
  'identity',
  'x-gzip',
  'chunked',
  'trailers',
  '*',
  'aws-chunked',
]
const PARTS = [
  ...MANIFEST_TYPES,
  ...CODINGS,
  ...[
    '*/*',
    'application/*',
    'text/html',
    '*',
    '/',
    'a/b;q=0',
    '*/*;q=0',
    'a/b;q=1.5',
    'a/b;q=-1',
    'a/b;level=1',
  ],
  ...[
    'identity;q=0',
    '*;q=0',
    'gzip;q=1.000',
    'gzip;q=',
    '"',
    ',',
    ';',
    '=',
    '',
    ' ',
    '\t',
    'x'.repeat(3_000),
  ],
  ...[
    'application/json; charset=utf-16',
    'multipart/mixed; boundary=x',
    '__proto__',
    '\xff',
    '\x00',
    '../..',
  ],
]
const NAMES = [
  ...[
    'Accept',
    'Accept',
    'Accept-Encoding',
    'Accept-Encoding',
    'Accept-Charset',
    'Accept-Language',
    'Accept-Ranges',
  ],
  ...[
    'TE',
    'Want-Digest',
    'Expect',
    'Upgrade',
    'Connection',
    'Cache-Control',
    'Pragma',
    'Prefer',
    'Vary',
    'Alt-Used',
  ],
]
const UPGRADES = [
  'Connection: Upgrade\r\nUpgrade: h2c\r\n',
  'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n',
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n',
  'Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n',
  'Upgrade: h2c\r\n',
  'Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n',
  'Connection: TE\r\nTE: trailers\r\n',
]
const EXPECTATIONS = [
  '100-continue',
  '100-Continue',
  ' 100-continue ',
  '100-continue, x',
  '200-ok',
  '',
  '101',
  'x=y',
  '100-continue;q=1',
]

const asks = (fields: string): string[] => [
  `GET /v2/team/app/manifests/v1 HTTP/1.1\r\n${HEAD}${fields}\r\n`,
  `HEAD /v2/team/app/manifests/v1 HTTP/1.1\r\n${HEAD}${fields}\r\n`,
  `GET /v2/team/app/blobs/${LAYER_DIGEST} HTTP/1.1\r\n${HEAD}${fields}\r\n`,
  `GET /v2/team/app/tags/list HTTP/1.1\r\n${HEAD}${fields}\r\n`,
  put('a', fields),
]

const WRITTEN = [
  ...PARTS.map(part => asks(`Accept: ${part}\r\n`)[0] ?? ''),
  ...CODINGS.map(coding => asks(`Accept-Encoding: ${coding}\r\n`)[2] ?? ''),
  ...UPGRADES.flatMap(asks),
  ...EXPECTATIONS.map(expectation => get('a', `Expect: ${expectation}\r\n`)),
  ...EXPECTATIONS.map(expectation => put('a', `Expect: ${expectation}\r\n`) + get('z')),
]

const SHAPE = fc
  .tuple(
    fc.array(
      fc
        .tuple(fc.constantFrom(...NAMES), fc.array(fc.constantFrom(...PARTS), { maxLength: 4 }))
        .map(([name, parts]) => `${name}: ${parts.join(', ')}\r\n`),
      { minLength: 1, maxLength: 4 },
    ),
    fc.nat({ max: 4 }),
  )
  .map(([fields, kind]) => asks(fields.join(''))[kind] ?? '')

/** An answer is of the type that its bytes say, by whatever name it was asked for, and never in another coding. */
function isWhatItSays({ status, headers, body }: RawAnswer): void {
  for (const name of ['content-encoding', 'transfer-encoding', 'upgrade', 'set-cookie'])
    if (headers.has(name)) throw new Error(`an answer with ${name}`)
  if (status !== 200 || body === '' || !headers.has('docker-content-digest')) return
  const digest = `sha256:${createHash('sha256').update(body, 'latin1').digest('hex')}`
  if (headers.get('docker-content-digest') !== digest) throw new Error('other bytes than the digest says')
  const type = headers.get('content-type')
  const said = body.startsWith('{')
    ? (JSON.parse(body) as { mediaType?: string }).mediaType
    : 'application/octet-stream'
  // Schema 1 has no place for its type.
  if (type !== said && !(said === undefined && type?.endsWith('+prettyjws')))
    throw new Error(`${type} for what is ${said}`)
}

t.test('whatever a client says that it takes, it gets the same bytes, or a refusal', async t => {
  const tally = await judge(await hostileMirror(t), attacks('H9', WRITTEN, SHAPE), { check: isWhatItSays })
  t.ok(tally.attacks >= countOf('H9'))
  t.ok(tally.accepted > 20, 'answers with bytes among them')
})

t.test('r03: a range under a condition that the mirror cannot judge is the whole', async t => {
  const { fetch } = await hostileMirror(t)
  const path = `/v2/team/app/blobs/${LAYER_DIGEST}`
  for (const condition of ['"x"', `"${LAYER_DIGEST}"`, 'W/"x"', 'Wed, 21 Oct 2015 07:28:00 GMT', '*', '']) {
    const answer = await fetch(path, { headers: { range: 'bytes=1-2', 'if-range': condition } })
    t.equal(answer.status, 200, condition)
    t.equal(await answer.text(), 'layer')
  }
  t.equal(
    (await fetch(path, { headers: { range: 'bytes=1-2' } })).status,
    206,
    'without a condition it is not',
  )
})

t.test('r06: a client that leaves in the middle of a manifest is no failure', async t => {
  const mirror = await hostileMirror(t)
  const { url, ecr, log } = mirror
  await mirror.fetch('/v2/')
  for (const method of ['GET', 'HEAD', 'DELETE'] as const) {
    ecr.knobs.hang = { BatchGetImage: 1, BatchDeleteImage: 1 }
    const arrived = ecr.requests.length
    const client = new Connection(url)
    client.socket.write(`${method} /v2/team/app/manifests/v1 HTTP/1.1\r\n${HEAD}\r\n`)
    await ecr.arrived(({ at }) => at === 'registry', ecr.count({ at: 'registry' }) + 1)
    t.equal(ecr.requests.length, arrived + 1)
    client.socket.resetAndDestroy()
    await ecr.settled()
    t.equal(ecr.requests.at(-1)?.aborted, true, `${method}: nobody waits for the far side any more`)
  }
  ecr.knobs.hang = {}

  const before = ecr.requests.length
  for (const cut of [1, 50, MANIFEST_BYTES.length - 1]) {
    const client = new Connection(url)
    client.socket.write(put('a', 'Expect: 100-continue\r\n').slice(0, -cut))
    await client.seen('100 Continue')
    client.socket.resetAndDestroy()
    await client.closed
  }
  const large = new Connection(url)
  large.socket.write(
    `PUT /v2/team/app/manifests/v2 HTTP/1.1\r\n${HEAD}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n`,
  )
  await large.seen('100 Continue')
  large.socket.resetAndDestroy()
  await large.closed
  t.match(await sendRaw(url, `GET /v2/ HTTP/1.0\r\n${HEAD}\r\n`), /^HTTP\/1\.1 200/)
  t.equal(ecr.requests.length, before, 'half a manifest goes nowhere')
  t.same(log, [], 'and no error is logged')
})
