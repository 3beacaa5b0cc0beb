import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { attacks, atOnce, countOf } from './support/attacks.js'
import { contents } from './support/contents.js'
import { startFarSide, type FarSide } from './support/far-side.js'
import { assertOwn, assertRightSoon, CANARY } from './support/oracle.js'
import { answer, good, type Script } from './support/scripted-upstream.js'

/** What is asked for, the status that it is answered with, and the body that comes with it. */
interface Attack {
  readonly what: 'blob' | 'stored blob' | 'manifest' | 'tag' | 'list' | 'referrers' | 'upload' | 'push'
  readonly mirror: 'streaming' | 'caching'
  readonly status: number
  readonly body: keyof typeof BODIES
}

const HTML = `<!DOCTYPE html><html><body><h1>${CANARY}</h1><script src="https://evil.example/x.js"></script>`

const BODIES = {
  none: '',
  words: `${CANARY}: could not connect to 10.1.2.3:5432`,
  HTML,
  'much HTML': Buffer.alloc(10 * 1024 * 1024, HTML),
  'broken JSON': `{"errors":[{"code":"DENIED","message":"${CANARY}"`,
  'other JSON': `{"errors":"${CANARY}","__proto__":{"errors":[]}}`,
  'words of AWS': JSON.stringify({
    errors: [{ code: 'DENIED', message: `arn:aws:iam::123456789012:role/${CANARY} is not authorized` }],
  }),
  'deep JSON': '['.repeat(60_000),
  'no UTF-8': Buffer.from('fffe00c328a0a1', 'hex'),
} as const

const WHATS = [
  ...(['blob', 'stored blob', 'manifest', 'tag', 'list', 'referrers', 'upload', 'push'] as const),
]
const MIRRORS = ['streaming', 'caching'] as const
const NAMES = Object.keys(BODIES) as Attack['body'][]
const STATUSES = [
  ...[
    201, 202, 203, 204, 205, 206, 207, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401, 402, 403, 404,
  ],
  ...[
    405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 425, 426, 428, 429,
  ],
  ...[431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 510, 511, 520, 599],
]

const written: Attack[] = STATUSES.flatMap((status, index): Attack[] =>
  [0, 4].map(more => ({
    what: WHATS[(index + more) % WHATS.length]!,
    mirror: MIRRORS[(index + more / 4) % 2]!,
    status,
    body: NAMES[(index + more) % NAMES.length]!,
  })),
)

const shape = fc.record<Attack>({
  what: fc.constantFrom(...WHATS),
  mirror: fc.constantFrom(...MIRRORS),
  status: fc
    .oneof(fc.constantFrom(...STATUSES), fc.integer({ min: 200, max: 599 }))
    .filter(status => status !== 200),
  // Ten megabytes are enough for all now and then.
  body: fc.constantFrom(...NAMES.filter(name => name !== 'much HTML')),
})

/** Everything about an answer that tells a client where else to turn to, and whom to give its password. */
const ELSEWHERE = {
  location: `https://evil.example/${CANARY}`,
  'www-authenticate': `Bearer realm="https://evil.example/${CANARY}"`,
  'proxy-authenticate': `Basic realm="${CANARY}"`,
  'set-cookie': `a=${CANARY}`,
  server: CANARY,
  'retry-after': '86400000',
}

/** The status that a client is answered with. */
function mapped({ what, status }: Attack): readonly number[] {
  if (what === 'upload' && status === 202) return [502]
  if (what === 'push' && status === 201) return [201]
  const isBlob = what === 'blob' || what === 'stored blob'
  // Of a range that was asked for it says too little to be one.
  if (isBlob && status === 206) return [502]
  if (isBlob && status === 416) return [416, 502]
  if (what === 'stored blob') return [502]
  if (status === 401) return [503]
  if (status >= 400 && status < 500) return [status]
  return [502]
}

function refusing(attack: Attack): Script {
  const { status, what } = attack
  const body = BODIES[attack.body]
  const isBodiless = status === 204 || status === 304
  return (asked, far) => {
    if (what === 'stored blob' && asked.path.startsWith('/v2/')) {
      far.write(answer(307, { location: asked.path.replace(/^\/v2\/(.*)\/blobs\/.*/, '/storage/$1') }))
      return
    }
    far.write(
      answer(
        status,
        isBodiless ? { ...ELSEWHERE, 'content-length': '0' } : ELSEWHERE,
        isBodiless ? '' : body,
      ),
    )
  }
}

let number = 0

async function attempt(side: FarSide, attack: Attack): Promise<void> {
  const { far, get } = side
  const mirror = side[attack.mirror]
  const content = contents(++number)
  const repository = `errors/c${number}`
  const about = JSON.stringify({ ...attack, number })
  const blob = `/v2/${repository}/blobs/${content.blobDigest}`
  const manifest = `/v2/${repository}/manifests/${content.manifestDigest}`
  const ask = {
    blob: () => get(mirror, blob),
    'stored blob': () => get(mirror, blob),
    manifest: () => get(mirror, manifest),
    tag: () => get(mirror, `/v2/${repository}/manifests/v1`),
    list: () => get(mirror, `/v2/${repository}/tags/list`),
    referrers: () => get(mirror, `/v2/${repository}/referrers/${content.manifestDigest}`),
    upload: () => get(mirror, `/v2/${repository}/blobs/uploads/`, 'POST'),
    push: () => get(mirror, manifest, 'PUT', { 'content-type': content.mediaType }, content.manifest),
  }
  far.play(repository, refusing(attack))
  const refused = await ask[attack.what]()
  assertOwn(refused, about)
  assert.ok(mapped(attack).includes(refused.status), `${about}: ${refused.status}`)
  far.play(repository, good(content))
  await assertRightSoon(() => get(mirror, blob), content.blob, `${about}, once the upstream is well`)
  await assertRightSoon(() => get(mirror, manifest), content.manifest, `${about}, once the upstream is well`)
  far.forget(repository)
}

t.test('each status of an upstream becomes the one that says what it means to a client', async t => {
  const side = await startFarSide(t)
  let tried = 0
  await atOnce(attacks('H20', written, shape), 64, async attack => {
    await attempt(side, attack)
    tried++
  })
  t.ok(tried >= countOf('H20'), `${tried} answers`)
})

t.test('a redirect in a circle, and a longer and longer one, are left after two steps', async t => {
  const { far, streaming, caching, get } = await startFarSide(t)
  const content = contents(1)
  let step = 0
  const circles: Record<string, Script> = {
    itself: (asked, far) => far.write(answer(307, { location: asked.path })),
    'the registry': (asked, far) =>
      far.write(
        answer(307, {
          location: asked.path.startsWith('/v2/')
            ? '/storage/errors/circle'
            : `/v2/errors/circle/blobs/${content.blobDigest}`,
        }),
      ),
    'always further': (_asked, far) =>
      far.write(answer(307, { location: `/storage/errors/circle?${'x'.repeat(step++ % 5000)}` })),
  }
  for (const [title, script] of Object.entries(circles)) {
    far.play('errors/circle', script)
    for (const mirror of [streaming, caching]) {
      const before = far.asked.length
      const left = await get(mirror, `/v2/errors/circle/blobs/${content.blobDigest}`)
      assertOwn(left, title)
      t.equal(left.status, 502, title)
      // With a cache, whether the repository has the blob is asked first.
      const reads = far.asked.slice(before).filter(({ method }) => method === 'GET')
      t.ok(reads.length <= 3, title)
    }
  }
  for (const { path, headers } of far.asked)
    if (path.startsWith('/storage/')) t.equal(headers['authorization'], undefined)
})

t.test('r55: nobody is told to wait longer than five minutes, nor waits for that', async t => {
  const { far, streaming, get } = await startFarSide(t)
  for (const [said, told] of [
    ['30', '30'],
    ['999999999999', '300'],
    ['-5', '1'],
    ['0', '1'],
    ['1.5', '1'],
    ['1e9', '1'],
    ['Fri, 31 Dec 9999 23:59:59 GMT', '1'],
    [CANARY, '1'],
    ['9'.repeat(400), '1'],
  ] as const) {
    far.play('errors/busy', (_asked, far) => far.write(answer(429, { 'retry-after': said })))
    const busy = await get(
      streaming,
      '/v2/errors/busy/manifests/v1',
      'PUT',
      { 'content-type': 'a/b' },
      Buffer.from('{}'),
    )
    assertOwn(busy, said)
    t.equal(busy.status, 429)
    t.equal(busy.headers['retry-after'], told, said.slice(0, 40))
    far.play('errors/busy', (_asked, far) => far.write(answer(201, { 'retry-after': said })))
    const taken = await get(
      streaming,
      '/v2/errors/busy/manifests/v1',
      'PUT',
      { 'content-type': 'a/b' },
      Buffer.from('{}'),
    )
    assertOwn(taken, said)
    t.equal(taken.status, 201)
  }
})

t.test('r56: a status that there is not is a 502, on each way to the upstream', async t => {
  const { far, streaming, caching, get } = await startFarSide(t)
  const content = contents(2)
  for (const status of [600, 601, 799, 999]) {
    far.play('errors/beyond', (_asked, far) => far.write(answer(status, ELSEWHERE, HTML)))
    for (const mirror of [streaming, caching]) {
      for (const [method, path] of [
        ['GET', `blobs/${content.blobDigest}`],
        ['HEAD', `blobs/${content.blobDigest}`],
        ['GET', 'manifests/v1'],
        ['GET', 'tags/list'],
        ['GET', `referrers/${content.blobDigest}`],
        ['POST', 'blobs/uploads/'],
      ] as const) {
        const beyond = await get(mirror, `/v2/errors/beyond/${path}`, method)
        assertOwn(beyond, `${status} ${method} ${path}`)
        t.equal(beyond.status, 502, `${status} ${method} ${path}`)
      }
    }
  }
})

t.test('an upstream that repeats what it was sent tells no client the token', async t => {
  const { far, streaming, caching, get } = await startFarSide(t)
  const content = contents(3)
  const spellings: Record<string, (text: string) => string> = {
    plain: text => text,
    'in escapes of JSON': text =>
      Array.from(text, each => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''),
    'in escapes of a URL': encodeURIComponent,
    decoded: text => Buffer.from(text.replace(/^Basic /, ''), 'base64').toString('latin1'),
  }
  for (const [spelling, spell] of Object.entries(spellings))
    for (const status of [400, 404, 405, 409])
      for (const mirror of [streaming, caching])
        for (const [method, path] of [
          ['GET', `blobs/${content.blobDigest}`],
          ['GET', 'manifests/v1'],
          ['GET', 'tags/list'],
          ['POST', 'blobs/uploads/'],
        ] as const) {
          let sent = ''
          far.play('errors/echo', (asked, far) => {
            sent = asked.headers['authorization'] ?? ''
            const body = `{"errors":[{"code":"X","message":"you sent ${spell(sent)}"}]}`
            far.write(answer(status, { warning: `299 - "${sent}"` }, body))
          })
          const about = `${spelling} ${status} ${method} ${path}`
          const { bytes, headers, status: got } = await get(mirror, `/v2/errors/echo/${path}`, method)
          t.equal(got, status, about)
          t.match(sent, /^Basic /, about)
          const said = bytes.toString('latin1') + JSON.stringify(headers)
          t.notOk(said.includes(spell(sent)) || said.includes(sent.slice(6)), about)
        }
})
