import { brotliCompressSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { attacks, atOnce, countOf } from './support/attacks.js'
import { contents, type Contents } from './support/contents.js'
import { startFarSide, type FarSide } from './support/far-side.js'
import { assertNothingWrong, assertOwn, assertRightSoon, CANARY } from './support/oracle.js'
import { good, type Script } from './support/scripted-upstream.js'

type Header = readonly [name: string, value: string]

/** What is asked for, and the header lines that the answer has beside its own or instead of those of the same name. */
interface Attack {
  readonly what:
    'blob' | 'range' | 'stored blob' | 'manifest' | 'tag' | 'head' | 'list' | 'referrers' | 'upload' | 'push'
  readonly mirror: 'streaming' | 'caching'
  readonly headers: readonly Header[]
}

const OTHER_DIGEST = contents(-1).manifestDigest

/** Lines of which each, by itself, is an attack. */
const LINES: readonly Header[] = [
  ['Docker-Content-Digest', OTHER_DIGEST],
  ['Docker-Content-Digest', `sha512:${'0'.repeat(128)}`],
  ['Content-Length', '0'],
  ['Content-Length', '1'],
  ['Content-Length', '4294967297'],
  ['Content-Length', '9007199254740993'],
  ['Content-Length', '1e3'],
  ['Content-Length', ' '],
  ['Content-Range', 'bytes 0-0/1'],
  ['Content-Range', 'bytes 0-9999/*'],
  ['Content-Range', 'bytes 5-9999/10000'],
  ['Content-Range', 'bytes 0-99999/10000'],
  ['Content-Range', 'bytes 9-5/10000'],
  ['Content-Range', 'bytes -1-9/10'],
  ['Content-Range', 'bytes 0-9999/99999999999999999999'],
  ['Content-Range', `${CANARY} 0-9999/10000`],
  ['Content-Type', 'multipart/byteranges; boundary=x'],
  ['Content-Type', 'text/html'],
  ['Content-Type', ''],
  ['Content-Encoding', 'gzip'],
  ['Content-Encoding', 'gzip, gzip, gzip, br, deflate, zstd'],
  ['Content-Encoding', Array.from({ length: 500 }, () => 'gzip').join(', ')],
  ['Content-Encoding', 'identity, gzip'],
  ['Content-Encoding', 'aws-chunked'],
  ['Content-Encoding', CANARY],
  ['WWW-Authenticate', `Bearer realm="https://evil.example/${CANARY}",service="x"`],
  ['Proxy-Authenticate', `Basic realm="${CANARY}"`],
  ['Set-Cookie', `session=${CANARY}; Domain=mirror.test`],
  ['Server', CANARY],
  ['Via', `1.1 ${CANARY}`],
  ['X-Powered-By', CANARY],
  ['Alt-Svc', `h2="evil.example:443"; ma=86400; persist=1`],
  ['Refresh', `0; url=https://evil.example/${CANARY}`],
  ['Strict-Transport-Security', 'max-age=31536000; includeSubDomains'],
  ['Access-Control-Allow-Origin', '*'],
  ['Location', `https://evil.example/${CANARY}`],
  ['Location', `//evil.example/${CANARY}`],
  ['Location', `\\\\evil.example\\${CANARY}`],
  ['Content-Location', `https://evil.example/${CANARY}`],
  ['Link', `<https://evil.example/v2/${CANARY}>; rel="next"`],
  ['Link', `<//evil.example/v2/?last=${CANARY}>; rel="next"`],
  ['Docker-Upload-UUID', CANARY],
  ['OCI-Chunk-Min-Length', CANARY],
  ['OCI-Chunk-Min-Length', '99999999999999999999'],
  ['Range', `0-${CANARY}`],
  ['OCI-Tag', `\x80\xff${CANARY}`],
  ['OCI-Subject', `\x7f${CANARY}`],
  ['X-Amzn-RequestId', `${CANARY} <script>`],
  ['X-Cache', CANARY],
  ['X-Request-Id', CANARY],
  ['Docker-Distribution-Api-Version', CANARY],
  ['Retry-After', '999999999'],
  ['Retry-After', '-1'],
  ['Retry-After', '0'],
  ['Retry-After', 'Fri, 31 Dec 9999 23:59:59 GMT'],
  ['Retry-After', CANARY],
  ['Connection', 'close, Content-Length, Authorization'],
  ['Connection', 'upgrade'],
  ['Upgrade', CANARY],
  ['Keep-Alive', 'timeout=-1'],
  ['Keep-Alive', 'timeout=99999999999, max=0'],
  ['Trailer', 'Docker-Content-Digest'],
  ['__proto__', CANARY],
  ['constructor', CANARY],
  ['X-Long', CANARY.padEnd(100 * 1024, 'x')],
  ['X-Longest-That-Passes', CANARY.padEnd(15 * 1024, 'x')],
  [CANARY.padEnd(8 * 1024, 'x'), '1'],
  ['X-Split', `a\r\nSet-Cookie: ${CANARY}`],
  ['X-Folded', `a\r\n ${CANARY}`],
  ['X-Return', `a\r${CANARY}`],
  ['X-Feed', `a\nSet-Cookie: ${CANARY}`],
]

const MANY: readonly Header[] = Array.from({ length: 1000 }, (_, index): Header => [
  `X-Many-${index}`,
  CANARY,
])
const TWICE: readonly Header[] = [
  ['__proto__', CANARY],
  ['__proto__', CANARY],
  ['Docker-Content-Digest', OTHER_DIGEST],
  ['Docker-Content-Digest', OTHER_DIGEST],
]

const WHATS = [
  ...([
    'blob',
    'stored blob',
    'manifest',
    'tag',
    'head',
    'range',
    'list',
    'referrers',
    'upload',
    'push',
  ] as const),
]
const MIRRORS = ['streaming', 'caching'] as const

const written: Attack[] = [...LINES.map((line): readonly Header[] => [line]), MANY, TWICE].map(
  (headers, index): Attack => ({ what: WHATS[index % WHATS.length]!, mirror: MIRRORS[index % 2]!, headers }),
)

const shape = fc.record<Attack>({
  what: fc.constantFrom(...WHATS),
  mirror: fc.constantFrom(...MIRRORS),
  headers: fc.array(fc.constantFrom(...LINES), { minLength: 1, maxLength: 4 }),
})

/** An answer of a good registry, with these header lines put in. */
function withHeaders(content: Contents, attack: Attack): Script {
  return (asked, far) => {
    if (attack.what === 'stored blob' && asked.path.startsWith('/v2/')) {
      const where = asked.path.replace(/^\/v2\/(.*)\/blobs\/.*/, '/storage/$1')
      far.write(`HTTP/1.1 307 Moved\r\nLocation: ${where}\r\nContent-Length: 0\r\n\r\n`)
      return
    }
    good(content)(asked, {
      ...far,
      closed: far.closed,
      write: bytes => {
        const whole = Buffer.from(bytes)
        const end = whole.indexOf('\r\n\r\n')
        const replaced = new Set(attack.headers.map(([name]) => name.toLowerCase()))
        const own = whole
          .toString('latin1', 0, end)
          .split('\r\n')
          .filter(line => !replaced.has(line.slice(0, Math.max(0, line.indexOf(':'))).toLowerCase()))
        const lines = attack.headers.map(([name, value]) => `${name}: ${value}`)
        far.write(Buffer.from([...own, ...lines, '', ''].join('\r\n'), 'latin1'))
        far.write(whole.subarray(end + 4))
      },
    })
    // Nobody waits for a body that was announced and does not come.
    setTimeout(() => far.end(), 20)
  }
}

let number = 0

async function attempt(side: FarSide, attack: Attack): Promise<void> {
  const { far, get } = side
  const mirror = side[attack.mirror]
  const content = contents(++number)
  const repository = `headers/c${number}`
  const about = JSON.stringify({ ...attack, headers: attack.headers.slice(0, 5), number }).slice(0, 600)
  const blob = `/v2/${repository}/blobs/${content.blobDigest}`
  const manifest = `/v2/${repository}/manifests/${content.manifestDigest}`
  const well = (): void => far.play(repository, good(content))
  far.play(repository, withHeaders(content, attack))
  switch (attack.what) {
    case 'blob':
    case 'stored blob':
      assertNothingWrong(await get(mirror, blob), content.blob, about)
      break
    case 'range': {
      const part = await get(mirror, blob, 'GET', { range: 'bytes=100-299' })
      assertOwn(part, about)
      if (part.status === 206 && part.complete && !part.bytes.equals(content.blob.subarray(100, 300)))
        throw new Error(`${about}: a wrong range, and complete`)
      break
    }
    case 'manifest':
      assertNothingWrong(await get(mirror, manifest), content.manifest, about)
      break
    case 'tag': {
      const tag = await get(mirror, `/v2/${repository}/manifests/v1`)
      // What is said to be shorter is shorter, for all that can be known of a tag.
      const shortened = attack.headers.some(([name, value]) => name === 'Content-Length' && Number(value) < 2)
      if (shortened) assertOwn(tag, about)
      else assertNothingWrong(tag, content.manifest, about)
      if (tag.status === 200 && tag.headers['docker-content-digest'] === OTHER_DIGEST)
        throw new Error(`${about}: another digest`)
      break
    }
    case 'head':
      assertOwn(await get(mirror, manifest, 'HEAD'), about)
      assertOwn(await get(mirror, blob, 'HEAD'), about)
      break
    case 'list':
      assertOwn(await get(mirror, `/v2/${repository}/tags/list`), about)
      break
    case 'referrers':
      assertOwn(await get(mirror, `/v2/${repository}/referrers/${content.manifestDigest}`), about)
      break
    case 'upload': {
      const begun = await get(mirror, `/v2/${repository}/blobs/uploads/`, 'POST')
      assertOwn(begun, about)
      const { location } = begun.headers
      if (begun.status !== 202 || location === undefined) break
      assertOwn(await get(mirror, `${location}?digest=${content.blobDigest}`, 'PUT', {}, content.blob), about)
      break
    }
    case 'push': {
      const headers = { 'content-type': content.mediaType }
      assertOwn(await get(mirror, manifest, 'PUT', headers, content.manifest), about)
    }
  }
  well()
  await assertRightSoon(() => get(mirror, blob), content.blob, `${about}, once the upstream is well`)
  await assertRightSoon(() => get(mirror, manifest), content.manifest, `${about}, once the upstream is well`)
  far.forget(repository)
}

t.test('what an upstream puts into its headers leads to nothing wrong, and not to the client', async t => {
  const side = await startFarSide(t)
  let tried = 0
  await atOnce(attacks('H19', written, shape), 64, async attack => {
    await attempt(side, attack)
    tried++
  })
  t.ok(tried >= countOf('H19'), `${tried} answers`)
})

t.test('bytes that arrive compressed are not decompressed, nor taken for the blob', async t => {
  const { far, streaming, caching, get } = await startFarSide(t)
  const content = contents(1)
  const { blob } = content
  for (const [encoding, bytes] of [
    ['gzip', gzipSync(blob)],
    ['br', brotliCompressSync(blob)],
    ['gzip', gzipSync(Buffer.alloc(16 * 1024 * 1024))],
  ] as const) {
    far.play('headers/encoded', (_asked, far) => {
      far.write(`HTTP/1.1 200 OK\r\nContent-Encoding: ${encoding}\r\nContent-Length: ${bytes.length}\r\n\r\n`)
      far.write(bytes)
    })
    for (const mirror of [streaming, caching]) {
      const refused = await get(mirror, `/v2/headers/encoded/blobs/${content.blobDigest}`)
      assertOwn(refused, encoding)
      t.equal(refused.status, 502, encoding)
    }
  }
})

t.test(
  'r53: what an upstream says of chunks and requests is passed on only in the form that it has to have',
  async t => {
    const { far, streaming, get } = await startFarSide(t)
    const begin = async (length: string): Promise<string | undefined> => {
      far.play('headers/chunks', (_asked, far) =>
        far.write(
          `HTTP/1.1 202 Said\r\nLocation: /v2/headers/chunks/blobs/uploads/1\r\nOCI-Chunk-Min-Length: ${length}\r\n` +
            'Content-Length: 0\r\n\r\n',
        ),
      )
      const begun = await get(streaming, '/v2/headers/chunks/blobs/uploads/', 'POST')
      return begun.headers['oci-chunk-min-length'] as string | undefined
    }
    t.equal(await begin('1048576'), '1048576')
    for (const nonsense of [CANARY, '-1', '1e9', '99999999999999999999', '1, 2']) {
      t.equal(await begin(nonsense), String(5 * 1024 * 1024), nonsense)
    }
    far.play('headers/denied', (_asked, far) =>
      far.write(`HTTP/1.1 403 Said\r\nX-Amzn-RequestId: ${CANARY} <x>\r\nContent-Length: 0\r\n\r\n`),
    )
    const denied = await get(streaming, '/v2/headers/denied/manifests/v1')
    assertOwn(denied, 'request id')
    t.equal(denied.status, 403)
  },
)
