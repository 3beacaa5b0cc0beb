import { Agent } from 'node:http'
import { connect } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { startPushing, type Pushing } from '../support/pushing.js'
import { authorization } from '../support/users.js'
import { askExactly } from './support/ask-exactly.js'
import { attacks } from './support/attacks.js'
import { campaign } from './support/campaign.js'
import { refusalIn } from './support/own-refusal.js'

const IMAGE = 'application/vnd.oci.image.manifest.v1+json'
const INDEX = 'application/vnd.oci.image.index.v1+json'
const LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'
const FIRST = 'application/vnd.docker.distribution.manifest.v1+prettyjws'
const MiB = 1024 * 1024
const LARGEST = 4 * MiB

/** A manifest that is not to be understood in one way only. `@` stands for the digest of a blob of another repository. */
interface Attack {
  readonly type: string
  readonly text: string
  /** What is put around it: bytes that are not UTF-8, or so many spaces or levels. */
  readonly around?: 'bad UTF-8' | 'bytes' | number
}

const LAYER = '{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"@","size":6}'
const layers = `"layers":[${LAYER}]`
const image = (...fields: readonly string[]): string => `{${['"schemaVersion":2', ...fields].join(',')}}`

const AMBIGUOUS: readonly Attack[] = [
  ...[
    image('"layers":[]', layers),
    image(layers, '"layers":[]'),
    image(layers, '"Layers":[]'),
    image('"LAYERS":[]', layers),
    image(layers, '"la\\u0079ers":[]'),
    image('"layer\\u017f":[]', layers),
    image('"layer\u017f":[]', layers),
    image(`"config":${LAYER}`, '"config":{}'),
    image(`"config":{"digest":"sha256:x","digest":"@"}`),
    image(`"layers":[{"digest":"@","Digest":"sha256:x"}]`),
    image(`"layers":[{"digest":"@","urls":["http://elsewhere.example/"],"urls":[]}]`),
    image(`"layers":[{"digest":"@","mediaType":"application/x-foreign","mediaType":"a/b"}]`),
    image('"manifests":[]', layers),
    image(layers, '"manifests":null'),
    image(`"config":${LAYER}`, '"manifests":[]'),
    image('"fsLayers":[]', layers),
    image(`"mediaType":"${INDEX}"`, layers),
    image(`"mediaType":"${IMAGE}"`, `"mediaType":"${INDEX}"`, layers),
  ].map((text): Attack => ({ type: IMAGE, text })),
  ...[INDEX, LIST, `${INDEX}; charset=utf-8`, INDEX.toUpperCase()].map((type): Attack => ({
    type,
    text: image(layers),
  })),
  { type: FIRST, text: `{"schemaVersion":1,"fsLayers":[],${layers}}` },
]

const BROKEN: readonly Attack[] = [
  ...[
    '',
    ' ',
    'null',
    '[]',
    '"layers"',
    '1',
    '{',
    `{${layers}`,
    `${image(layers)}x`,
    `\ufeff${image(layers)}`,
  ].map((text): Attack => ({ type: IMAGE, text })),
  ...[
    "{'layers':[]}",
    '{"layers":[],}',
    '// {}',
    '{"a":NaN}',
    '{"a":"\0"}',
    '<xml/>',
    image(layers).repeat(2),
  ].map((text): Attack => ({ type: IMAGE, text })),
  { type: IMAGE, text: image(layers), around: 'bad UTF-8' },
  { type: IMAGE, text: image(layers), around: 'bytes' },
  { type: IMAGE, text: image(layers), around: 101 },
  { type: IMAGE, text: image(layers), around: 100_000 },
]

function bytesOf({ text, around }: Attack, secret: string): Buffer {
  const filled = text.replaceAll('@', secret)
  if (around === 'bad UTF-8')
    return Buffer.concat([Buffer.from(filled.slice(0, -1)), Buffer.from(',"a":"\xff"}', 'latin1')])
  if (around === 'bytes') return Buffer.from(filled, 'utf16le')
  if (around === undefined) return Buffer.from(filled)
  return Buffer.from(`${filled.slice(0, -1)},"a":${'['.repeat(around)}${']'.repeat(around)}}`)
}

const put = fc.constantFrom(
  '"layers":[]',
  '"Layers":[]',
  '"manifests":[]',
  '"fsLayers":[]',
  '"layer\\u017f":null',
)
const innocent = fc.constantFrom(
  '"annotations":{"layers":"x","Layers":"y"}',
  '"artifactType":"a/b"',
  '"x":{"layers":[],"LAYERS":[]}',
  '"subject":null',
)
const shape: fc.Arbitrary<Attack> = fc.oneof(
  fc
    .tuple(fc.constantFrom(IMAGE, INDEX, LIST), put, fc.array(innocent, { maxLength: 4 }), fc.nat(5))
    .map(([type, put, others, at]) => {
      const fields = [layers, ...others]
      fields.splice(at % (fields.length + 1), 0, put)
      return { type, text: image(...fields) }
    }),
  fc.tuple(fc.nat(), fc.boolean()).map(([seed, isCut]) => {
    const whole = image(layers)
    const at = seed % whole.length
    return { type: INDEX, text: isCut ? whole.slice(0, at) : `${whole.slice(0, at)}\0${whole.slice(at)}` }
  }),
  fc.integer({ min: 101, max: 5_000 }).map(around => ({ type: IMAGE, text: image(layers), around })),
)

async function startShared(
  t: Parameters<typeof startPushing>[0],
): Promise<{ mirror: Pushing; secret: string }> {
  const mirror = await startPushing(t, {
    far: { profile: 'spec' },
    settings: { policy: [{ principals: ['*'], actions: ['pull', 'push'] }] },
  })
  mirror.ecr.createRepository('team/app')
  const { digest } = await mirror.ecr.putBlob('secret/app', Buffer.from('secret'))
  // From now on the bytes are here, for whoever is believed to have them.
  await mirror.fetch(`/v2/secret/app/blobs/${digest}`).then(answer => answer.arrayBuffer())
  return { mirror, secret: digest }
}

t.test(
  'a manifest that can be understood in two ways, or in none, goes nowhere and vouches for nothing',
  async t => {
    const { mirror, secret } = await startShared(t)
    const { url, ecr } = mirror
    const agent = new Agent({ keepAlive: true, maxSockets: 32 })
    t.teardown(() => agent.destroy())
    ecr.requests.length = 0
    await campaign(
      t,
      attacks('H14', [...AMBIGUOUS, ...BROKEN], shape),
      async attack => {
        const body = bytesOf(attack, secret)
        const answer = await askExactly(url, '/v2/team/app/manifests/v1', {
          method: 'PUT',
          agent,
          headers: { authorization, 'content-type': attack.type, 'content-length': body.length },
          body,
        })
        const code = refusalIn(answer, [400])
        if (code !== 'MANIFEST_INVALID') throw new Error(code)
      },
      () => ecr.requests.map(({ method, url }) => `${method} ${url}`),
    )
    const asked = await mirror.fetch(`/v2/team/app/blobs/${secret}`)
    t.equal(asked.status, 404)
  },
)

t.test('r14: what a manifest upstream can mean besides is not believed to be in its repository', async t => {
  const { mirror, secret } = await startShared(t)
  const { ecr, fetch } = mirror
  for (const [at, attack] of AMBIGUOUS.entries()) {
    const repository = `team/r${at}`
    ecr.createRepository(repository)
    // The registry has taken it for what it has checked, which was something else.
    ecr.knobs.answer = {
      BatchGetImage: [
        { status: 200, headers: { 'content-type': attack.type }, body: bytesOf(attack, secret) },
      ],
    }
    t.equal((await fetch(`/v2/${repository}/manifests/v1`)).status, 200, attack.text)
    t.equal((await fetch(`/v2/${repository}/blobs/${secret}`)).status, 404, 'and its layer is asked for')
  }
})

t.test(
  'a foreign layer is fetched from nowhere, and a manifest that is too large is refused unread',
  async t => {
    const { mirror, secret } = await startShared(t)
    const { url, ecr, fetch, step } = mirror
    const elsewhere = {
      mediaType: 'application/vnd.docker.image.rootfs.FOREIGN.diff.tar.gzip',
      digest: secret,
      size: 6,
    }
    const urls = [`http://${ecr.s3Host}/foreign`, 'file:///etc/passwd']
    const foreign = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        layers: [
          { ...elsewhere, urls },
          { ...elsewhere, urls: urls[0] },
        ],
      }),
    )
    const before = ecr.count({ at: 's3' })
    t.equal((await step('PUT', '/v2/team/app/manifests/v1', foreign, { 'content-type': IMAGE })).status, 201)
    t.ok(
      Buffer.from(await (await fetch('/v2/team/app/manifests/v1')).arrayBuffer()).equals(foreign),
      'to the byte',
    )
    t.equal((await fetch(`/v2/team/app/blobs/${secret}`)).status, 404, 'it vouches for no foreign layer')
    t.equal(ecr.count({ at: 's3' }), before)

    const padded = (size: number): Buffer =>
      Buffer.concat([Buffer.from('{"schemaVersion":2}'), Buffer.alloc(size - 19, ' ')])
    const puts = ecr.count({ action: 'PutImage' })
    t.equal(
      (await step('PUT', '/v2/team/app/manifests/v2', padded(LARGEST), { 'content-type': IMAGE })).status,
      201,
    )
    t.equal(ecr.count({ action: 'PutImage' }), puts + 1, 'the largest passes')
    for (const size of [LARGEST + 1, 8 * MiB])
      t.equal(
        (await step('PUT', '/v2/team/app/manifests/v2', padded(size), { 'content-type': IMAGE })).status,
        413,
      )
    const agent = new Agent()
    const chunked = await askExactly(url, '/v2/team/app/manifests/v2', {
      method: 'PUT',
      agent,
      headers: { authorization, 'content-type': IMAGE, 'transfer-encoding': 'chunked' },
      body: padded(LARGEST + 1),
    })
    refusalIn(chunked, [413])
    t.equal(ecr.count({ action: 'PutImage' }), puts + 1, 'and nothing larger')

    const heap = process.memoryUsage().heapUsed
    for (const filling of ['[', '{"a":', '"a",', '[{}],', '{}'.repeat(2)])
      await step(
        'PUT',
        '/v2/team/app/manifests/v3',
        Buffer.from(`{"a":[${filling.repeat(LARGEST / filling.length - 10)}`),
        { 'content-type': IMAGE },
      )
    t.ok(process.memoryUsage().heapUsed - heap < 256 * MiB)
    t.equal(ecr.count({ action: 'PutImage' }), puts + 1)
  },
)

t.test(
  'r15: a client that leaves in the middle of a manifest is nobody to answer, and no failure of the mirror',
  async t => {
    const { mirror } = await startShared(t)
    const { url, ecr, log } = mirror
    const puts = ecr.count({ action: 'PutImage' })
    const { hostname, port } = new URL(url)
    const lines = (): number => log.filter(({ msg }) => msg === 'request').length
    const leave = async (method: string, length: number, sent: string): Promise<void> => {
      const before = lines()
      const socket = connect(Number(port), hostname)
      socket.on('error', () => undefined)
      socket.write(
        `${method} /v2/team/app/manifests/v1 HTTP/1.1\r\nHost: m\r\nAuthorization: ${authorization}\r\nContent-Type: ${IMAGE}\r\nContent-Length: ${length}\r\n\r\n${sent}`,
      )
      if (method === 'PUT') await new Promise(resolve => setTimeout(resolve, 20))
      else await ecr.arrived({ action: 'BatchGetImage' }, ecr.count({ action: 'BatchGetImage' }) + 1)
      socket.destroy()
      while (lines() === before) await new Promise(resolve => setTimeout(resolve, 5))
    }
    for (const sent of ['', '{', image('"layers":[]')]) await leave('PUT', 1_000, sent)
    t.equal(ecr.count({ action: 'PutImage' }), puts, 'nothing of it went on')
    ecr.knobs.hang = { BatchGetImage: 1 }
    await leave('GET', 0, '')
    ecr.putManifest('team/app', 'v1', Buffer.from(image(`"a":"${'x'.repeat(MiB)}"`)))
    ecr.knobs.answer = { BatchGetImage: [{ status: 200, body: Buffer.alloc(MiB), cutAfterBytes: 1_000 }] }
    await leave('GET', 0, '')
    await ecr.settled()
    t.same(
      log.filter(({ level }) => Number(level) >= 50).map(({ msg }) => msg),
      [],
      'no error was logged',
    )
  },
)
