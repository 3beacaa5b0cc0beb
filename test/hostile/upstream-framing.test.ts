import fc from 'fast-check'
import t from 'tap'
import type { MirrorUnderTest } from '../support/mirror.js'
import { attacks, atOnce, countOf } from './support/attacks.js'
import { contents, type Contents } from './support/contents.js'
import { startFarSide, UNTHROTTLED, type FarSide } from './support/far-side.js'
import { assertNothingWrong, assertOwn, assertRight, assertRightSoon, CANARY } from './support/oracle.js'
import { answer, blobAnswer, good, type Far, type Script } from './support/scripted-upstream.js'

/** How an upstream frames its answer wrongly, and where in it, in percent. */
interface Attack {
  readonly what: 'blob' | 'stored blob' | 'manifest'
  readonly mirror: 'streaming' | 'caching'
  readonly trick: keyof typeof TRICKS
  readonly percent: number
}

const upTo = (bytes: Buffer, percent: number): Buffer =>
  bytes.subarray(0, Math.floor((bytes.length * percent) / 100))

const smuggled = answer(200, { 'content-type': 'application/json', 'x-from': CANARY }, `"${CANARY}"`)

const chunk = (bytes: Buffer | string): Buffer =>
  Buffer.concat([
    Buffer.from(`${Buffer.byteLength(bytes).toString(16)}\r\n`),
    Buffer.from(bytes),
    Buffer.from('\r\n'),
  ])

type Trick = (far: Far, parts: { head: Buffer; body: Buffer; type: string }, percent: number) => void

/** With the head of a good answer exchanged for another. */
const withHead =
  (status: string, headers: string): Trick =>
  (far, { body, type }) => {
    far.write(Buffer.concat([Buffer.from(`${status}\r\nContent-Type: ${type}\r\n${headers}\r\n`), body]))
    far.end()
  }

/** `LENGTH` stands for the body's. */
const withLength =
  (headers: string): Trick =>
  (far, parts, percent) =>
    withHead('HTTP/1.1 200 OK', headers.replaceAll('LENGTH', String(parts.body.length)))(far, parts, percent)

const TRICKS = {
  'body ends early': (far, { head, body }, percent) => {
    far.write(Buffer.concat([head, upTo(body, Math.min(percent, 99))]))
    far.end()
  },
  'body is reset': (far, { head, body }, percent) => {
    far.write(Buffer.concat([head, upTo(body, Math.min(percent, 99))]))
    setImmediate(() => far.cut())
  },
  'head ends early': (far, { head }, percent) => {
    far.write(upTo(head, Math.min(percent, 99)))
    far.end()
  },
  'head is reset': (far, { head }, percent) => {
    far.write(upTo(head, Math.min(percent, 99)))
    setImmediate(() => far.cut())
  },
  'announces too little': (far, { body, type }, percent) => {
    const length = upTo(body, Math.min(percent, 99)).length
    far.write(answer(200, { 'content-type': type, 'content-length': length }, body))
  },
  'announces too much': (far, { body, type }, percent) => {
    far.write(answer(200, { 'content-type': type, 'content-length': body.length + 1 + percent }, body))
    far.end()
  },
  'chunks end early': (far, { body, type }, percent) => {
    far.write(
      answer(200, { 'content-type': type, 'transfer-encoding': 'chunked' }, chunk(upTo(body, percent))),
    )
    far.end()
  },
  'a chunk is none': (far, { body, type }, percent) => {
    far.write(
      answer(200, { 'content-type': type, 'transfer-encoding': 'chunked' }, chunk(upTo(body, percent))),
    )
    far.write(`${CANARY}\r\n0\r\n\r\n`)
  },
  'a chunk has no end': (far, { body, type }, percent) => {
    far.write(answer(200, { 'content-type': type, 'transfer-encoding': 'chunked' }))
    far.write(Buffer.concat([Buffer.from('ffffffffffffffffff\r\n'), upTo(body, percent)]))
    far.end()
  },
  'the connection ends the body': (far, { body, type }, percent) => {
    far.write(
      Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\n\r\n`), upTo(body, percent)]),
    )
    far.end()
  },
  'more follows the body': (far, { head, body }) => {
    far.write(Buffer.concat([head, body, Buffer.from(CANARY)]))
  },
  'another answer follows': (far, { head, body }) => {
    far.write(Buffer.concat([head, body, smuggled]))
  },
  'another answer follows late': (far, { head, body }, percent) => {
    far.write(Buffer.concat([head, body]))
    setTimeout(() => far.write(smuggled), percent / 10)
  },
  'informs and informs': (far, { head, body }, percent) => {
    const kinds = ['100 Continue', '102 Processing', '103 Early Hints', '199 Said']
    for (let count = 0; count < 10 * percent; count++)
      far.write(
        `HTTP/1.1 ${kinds[count % 4]}\r\nLink: </${CANARY}>\r\nX-Filler: ${'x'.repeat(percent)}\r\n\r\n`,
      )
    far.write(Buffer.concat([head, body]))
  },
  'switches protocols': far => {
    far.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${CANARY}\r\nConnection: upgrade\r\n\r\n${CANARY}`,
    )
  },
  'says nothing': far => far.end(),
  'resets at once': far => far.cut(),
  'comes one byte at a time': (far, { head, body }, percent) => {
    for (const byte of head) far.write(Buffer.of(byte))
    for (let at = 0; at < body.length; at += 1 + percent) far.write(body.subarray(at, at + 1 + percent))
  },
  'begins with nothing': (far, { head, body }) =>
    far.write(Buffer.concat([Buffer.from('\r\n\r\n\0\0'), head, body])),
  'two lengths': withLength('Content-Length: LENGTH\r\nContent-Length: 1\r\n'),
  'two lengths in one': withLength('Content-Length: LENGTH, 1\r\n'),
  'length and chunks': withLength('Content-Length: LENGTH\r\nTransfer-Encoding: chunked\r\n'),
  'chunks that are not last': withLength('Transfer-Encoding: chunked, gzip\r\n'),
  'encoded chunks': withLength('Transfer-Encoding: gzip, chunked\r\n'),
  'unknown encoding': withLength(`Transfer-Encoding: ${CANARY}\r\n`),
  'negative length': withLength('Content-Length: -LENGTH\r\n'),
  'signed length': withLength('Content-Length: +LENGTH\r\n'),
  'hexadecimal length': withLength('Content-Length: 0xLENGTH\r\n'),
  'endless length': withLength('Content-Length: 99999999999999999999999999\r\n'),
  'length with a space': withLength('Content-Length : LENGTH\r\n'),
  'folded length': withLength('Content-Length:\r\n LENGTH\r\n'),
  'no length at all': withLength(''),
  'length of nothing': withLength('Content-Length: 0\r\n'),
  'other version': withHead('HTTP/2.0 200 OK', 'Content-Length: 5\r\n'),
  'other protocol': withHead('ICY 200 OK', 'Content-Length: 5\r\n'),
  'no version': withHead('200 OK', 'Content-Length: 5\r\n'),
  'status of letters': withHead('HTTP/1.1 OK 200', 'Content-Length: 5\r\n'),
  'status of two digits': withHead('HTTP/1.1 20 OK', 'Content-Length: 5\r\n'),
  'status of four digits': withHead('HTTP/1.1 2000 OK', 'Content-Length: 5\r\n'),
  'status zero': withHead('HTTP/1.1 000 Nothing', 'Content-Length: 5\r\n'),
  'status beyond all': withHead('HTTP/1.1 999 Said', 'Content-Length: 5\r\n'),
  'status 600': withHead('HTTP/1.1 600 Said', 'Content-Length: 5\r\n'),
  'header without a colon': withLength(`${CANARY}\r\nContent-Length: LENGTH\r\n`),
  'header with a null': withLength(`X-Said: ${CANARY}\0\r\nContent-Length: LENGTH\r\n`),
  'lines without returns': (far, { head, body }) => {
    far.write(Buffer.concat([Buffer.from(head.toString('latin1').replaceAll('\r', ''), 'latin1'), body]))
    far.end()
  },
  'TLS instead': far => far.write(Buffer.from('150301000202 16'.replace(' ', ''), 'hex')),
} satisfies Record<string, Trick>

const NAMES = Object.keys(TRICKS) as Attack['trick'][]
const WHATS = ['blob', 'stored blob', 'manifest'] as const
const MIRRORS = ['streaming', 'caching'] as const

const written: Attack[] = [
  // Each percent of a body is where one breaks off.
  ...Array.from({ length: 100 }, (_, percent): Attack => {
    const trick = percent % 3 === 0 ? 'body is reset' : 'body ends early'
    return { what: WHATS[percent % 3]!, mirror: MIRRORS[percent % 2]!, trick, percent }
  }),
  ...NAMES.map((trick, index): Attack => {
    return { what: WHATS[index % 3]!, mirror: MIRRORS[(index >> 1) % 2]!, trick, percent: 50 }
  }),
]

const shape = fc.record<Attack>({
  what: fc.constantFrom(...WHATS),
  mirror: fc.constantFrom(...MIRRORS),
  trick: fc.constantFrom(...NAMES),
  percent: fc.integer({ min: 0, max: 100 }),
})

/** Plays a trick to so many requests, and is good to all others. */
function trickster(content: Contents, { trick, percent, what }: Attack, times: number): Script {
  const otherwise = good(content)
  const play: Trick = TRICKS[trick]
  let left = times
  return (asked, far) => {
    const isBlob = what !== 'manifest'
    if (what === 'stored blob' && asked.path.startsWith('/v2/')) {
      far.write(
        answer(307, {
          location: asked.path.replace(/^\/v2\/(.*)\/blobs\/.*/, '/storage/$1?X-Amz-Signature=x'),
        }),
      )
    } else if (left-- > 0) {
      const { manifest, mediaType } = content
      const type = isBlob ? 'application/octet-stream' : mediaType
      const parts = isBlob
        ? blobAnswer(asked, content.blob)
        : {
            head: answer(200, { 'content-type': type, 'content-length': manifest.length }),
            body: asked.method === 'HEAD' ? Buffer.alloc(0) : manifest,
          }
      play(far, { ...parts, type }, percent)
    } else otherwise(asked, far)
  }
}

let number = 0

async function attempt(side: FarSide, attack: Attack): Promise<void> {
  const { far, get } = side
  const mirror: MirrorUnderTest = side[attack.mirror]
  const content = contents(++number)
  const repository = `framing/c${number}`
  const about = JSON.stringify({ ...attack, number })
  const [path, expected] =
    attack.what === 'manifest'
      ? [`/v2/${repository}/manifests/${content.manifestDigest}`, content.manifest]
      : [`/v2/${repository}/blobs/${content.blobDigest}`, content.blob]
  // A cache goes on where a body broke off as long as there is somebody to hope for more.
  far.play(repository, trickster(content, attack, attack.mirror === 'caching' ? 1 + (number % 3) : Infinity))
  assertNothingWrong(await get(mirror, path), expected, about)
  far.play(repository, good(content))
  await assertRightSoon(() => get(mirror, path), expected, `${about}, once the upstream is well`)
  far.forget(repository)
}

t.test('what is framed wrongly is no answer, never kept, and nobody else’s', async t => {
  const side = await startFarSide(t)
  let tried = 0
  await atOnce(attacks('H18', written, shape), 64, async attack => {
    await attempt(side, attack)
    tried++
  })
  t.ok(tried >= countOf('H18'), `${tried} answers`)
})

t.test('a body that comes with the answer to a HEAD is not the next request’s answer', async t => {
  const { far, streaming, get } = await startFarSide(t)
  const content = contents(1)
  const otherwise = good(content)
  far.play('head/body', (asked, far) => {
    otherwise(asked, far)
    if (asked.method === 'HEAD') far.write(smuggled)
  })
  for (let turn = 0; turn < 10; turn++) {
    assertOwn(await get(streaming, '/v2/head/body/manifests/latest', 'HEAD'), 'HEAD')
    const blob = await get(streaming, `/v2/head/body/blobs/${content.blobDigest}`)
    t.ok(blob.bytes.equals(content.blob), `turn ${turn}`)
  }
})

t.test('an answer that is put into an idle connection is nobody’s', async t => {
  const { far, streaming, caching, get } = await startFarSide(t)
  const [bad, content] = [contents(2), contents(3)]
  const foreign = answer(200, { 'content-type': bad.mediaType }, bad.manifest)
  far.play('idle/poison', (asked, far) => {
    good(bad)(asked, far)
    for (let count = 0; count < 3; count++) setImmediate(() => far.write(foreign))
  })
  far.play('idle/victim', good(content))
  for (const mirror of [streaming, caching]) {
    for (let turn = 0; turn < 10; turn++) {
      await Promise.all(Array.from({ length: 4 }, () => get(mirror, `/v2/idle/poison/manifests/t${turn}`)))
      const victim = await get(mirror, `/v2/idle/victim/manifests/t${turn}`)
      assertOwn(victim, 'victim')
      t.ok(victim.status !== 200 || victim.bytes.equals(content.manifest), `turn ${turn}: ${victim.status}`)
      t.equal(victim.status, 200)
    }
  }
})

t.test('r50: a manifest that breaks off is a 502, or what is known of the tag', async t => {
  let time = Date.now()
  const { far, streaming, caching, get } = await startFarSide(t, { now: () => time })
  const content = contents(4)
  const { manifest, mediaType } = content
  const broken: Script = (_asked, far) => {
    far.write(
      answer(200, { 'content-type': mediaType, 'content-length': manifest.length }, manifest.subarray(0, 40)),
    )
    far.end()
  }
  for (const path of [
    'manifests/v1',
    `manifests/${content.manifestDigest}`,
    'tags/list',
    `referrers/${content.manifestDigest}`,
  ]) {
    far.play('broken/off', broken)
    for (const mirror of [streaming, caching]) {
      const cut = await get(mirror, `/v2/broken/off/${path}`)
      assertOwn(cut, path)
      t.equal(cut.status, 502, path)
    }
  }
  far.play('broken/off', good(content))
  t.equal((await get(caching, '/v2/broken/off/manifests/v1')).status, 200)
  time += 60_000
  far.play('broken/off', broken)
  const stale = await get(caching, '/v2/broken/off/manifests/v1')
  t.match(stale, { status: 200, headers: { 'x-cache': 'stale' } })
  t.ok(stale.bytes.equals(manifest))
})

t.test('r51: a refusal that breaks off is still a refusal', async t => {
  const { far, streaming, get } = await startFarSide(t)
  far.play('broken/refusal', (_asked, far) => {
    far.write(
      answer(403, { 'content-type': 'application/json', 'content-length': 500 }, `{"errors":[{"${CANARY}`),
    )
    far.end()
  })
  const denied = await get(streaming, '/v2/broken/refusal/manifests/v1')
  assertOwn(denied, 'refusal')
  t.equal(denied.status, 403)
})

t.test('r52: an upstream that informs for ever is given up', async t => {
  const { far, streaming, get } = await startFarSide(t, {
    deps: { ...UNTHROTTLED, connections: { headersTimeout: 300, bodyTimeout: 300 } },
  })
  far.play('informs/forever', (_asked, far) => {
    const timer = setInterval(() => {
      if (far.closed) clearInterval(timer)
      else far.write('HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n')
    }, 20)
  })
  const given = await get(streaming, '/v2/informs/forever/manifests/v1')
  assertOwn(given, 'for ever')
  t.equal(given.status, 502)
})

t.test('r54: nothing is no answer for a blob that is something', async t => {
  const { far, streaming, caching, get } = await startFarSide(t)
  const nothings: Record<string, Script> = {
    'a 200 of nothing': (_asked, far) => far.write(answer(200)),
    'a range beyond nothing': (asked, far) =>
      far.write(asked.headers['range'] ? answer(416, { 'content-range': 'bytes */0' }) : answer(200)),
    'a 206 of nothing': (_asked, far) => far.write(answer(206, { 'content-range': 'bytes 0-0/0' })),
  }
  let number = 100
  for (const [title, script] of Object.entries(nothings)) {
    for (const where of ['v2', 'storage']) {
      for (const mirror of [streaming, caching]) {
        const content = contents(number++)
        const repository = `nothing/c${number}`
        far.play(repository, (asked, far) => {
          if (where === 'storage' && asked.path.startsWith('/v2/'))
            far.write(answer(307, { location: `/storage/${repository}` }))
          else script(asked, far)
        })
        const path = `/v2/${repository}/blobs/${content.blobDigest}`
        const about = `${title}, from ${where}`
        const [got, head, part] = await Promise.all([
          get(mirror, path),
          get(mirror, path, 'HEAD'),
          get(mirror, path, 'GET', { range: 'bytes=0-99' }),
        ])
        for (const one of [got, head, part]) {
          assertOwn(one, about)
          t.ok(one.status >= 400 || !one.complete, `${about}: ${one.status}`)
        }
        far.play(repository, good(content))
        assertRight(await get(mirror, path), content.blob, about)
      }
    }
  }
  const nothing = contents(0, 0)
  far.play('nothing/real', good(nothing))
  for (const mirror of [streaming, caching]) {
    const real = await get(mirror, `/v2/nothing/real/blobs/${nothing.blobDigest}`)
    assertRight(real, nothing.blob, 'nothing, as its digest says')
  }
})
