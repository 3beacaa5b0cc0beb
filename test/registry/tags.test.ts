import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startEcr, type Ecr, type KnobSettings } from '../ecr/ecr.js'
import { startLink, type Link } from '../support/link.js'
import { mirrorOf, type MirrorAnswer, type MirrorUnderTest } from '../support/mirror.js'
import { ask } from '../support/requests.js'

const OCI = 'application/vnd.oci.image.manifest.v1+json'
const V2S2 = 'application/vnd.docker.distribution.manifest.v2+json'
const INDEX = 'application/vnd.oci.image.index.v1+json'
const EVERYTHING = [OCI, INDEX, V2S2].join(', ')

const MINUTE = 60_000
const TTL = 10 * MINUTE
const STALE_FOR = 60 * MINUTE

interface Tagged extends MirrorUnderTest {
  readonly clock: { now: number }
  readonly link: Link
  readonly directory: string
}

async function start(
  t: Test,
  {
    ecr,
    directory,
    clock = { now: Date.now() },
    tags = {},
    knobs = {},
    policy,
  }: {
    ecr?: Ecr
    directory?: string
    clock?: { now: number }
    tags?: object
    knobs?: KnobSettings
    policy?: object[]
  } = {},
): Promise<Tagged> {
  const farSide = ecr ?? (await startEcr({ knobs }))
  if (!ecr) t.teardown(() => farSide.close())
  const place = directory ?? (await mkdtemp(join(tmpdir(), 'tags-')))
  if (!directory) t.teardown(() => rm(place, { recursive: true, force: true }))
  const link = await startLink(t, farSide.url)
  const mirror = await mirrorOf(t, farSide, {
    now: () => clock.now,
    upstream: { endpoint: link.url },
    settings: {
      cache: {
        directory: place,
        tags: { ttl: '10m', staleFor: '1h', immutable: ['v*'], ...tags },
        membership: { ttl: '10m', staleFor: '1h' },
      },
      ...(policy && { policy }),
    },
  })
  return { ...mirror, clock, link, directory: place }
}

const PULL = [{ principals: ['*'], actions: ['pull'] }]

const asked = (ecr: Ecr): number => ecr.count({ action: 'BatchGetImage' })

function get(
  { fetch }: MirrorUnderTest,
  path: string,
  { method = 'GET', accept = EVERYTHING, ...headers }: Record<string, string> = {},
): Promise<MirrorAnswer> {
  return fetch(`/v2/team/app/manifests/${path}`, { method, headers: { accept, ...headers } })
}

/** What the mirror knows of the tag when it is asked. */
const STATES = ['nothing', 'fresh', 'expired', 'too old', 'immutable'] as const
/** What the upstream would say. */
const FAR_SIDES = ['unchanged', 'changed', '404', '403', '429', '5xx', 'unreachable'] as const

interface Expected {
  readonly status: number
  readonly cache: string | null
  readonly which?: 'old' | 'new'
}

const HIT: Expected = { status: 200, cache: 'hit', which: 'old' }
const UNCHANGED: Expected = { status: 200, cache: 'miss', which: 'old' }
const CHANGED: Expected = { status: 200, cache: 'miss', which: 'new' }
const STALE: Expected = { status: 200, cache: 'stale', which: 'old' }
const no = (status: number): Expected => ({ status, cache: null })

/** The documented answers, a line for each state in the order of FAR_SIDES. */
const TABLE: Record<(typeof STATES)[number], readonly Expected[]> = {
  nothing: [UNCHANGED, CHANGED, no(404), no(403), no(429), no(502), no(502)],
  fresh: [HIT, HIT, HIT, HIT, HIT, HIT, HIT],
  expired: [UNCHANGED, CHANGED, no(404), no(403), STALE, STALE, STALE],
  'too old': [UNCHANGED, CHANGED, no(404), no(403), no(429), no(502), no(502)],
  immutable: [HIT, HIT, HIT, HIT, HIT, HIT, HIT],
}

t.test('every state of a tag has its answer to everything that can be upstream', async t => {
  // Who may push is told by HEAD what the upstream says, whatever is known.
  const mirror = await start(t, { policy: PULL })
  const { ecr, clock, link } = mirror
  const results: string[] = []
  let cells = 0
  for (const state of STATES) {
    for (const [column, farSide] of FAR_SIDES.entries()) {
      for (const method of ['HEAD', 'GET']) {
        const cell = `${state}, upstream ${farSide}, ${method}`
        const tag = `${state === 'immutable' ? 'v' : 't'}${cells++}`
        const old = await ecr.putImage('team/app', tag, { layers: [{ size: 64, seed: `${tag} old` }] })
        if (state !== 'nothing') await (await get(mirror, tag)).arrayBuffer()
        if (state === 'expired') clock.now += TTL
        if (state === 'too old') clock.now += TTL + STALE_FOR
        const fresh =
          farSide === 'changed'
            ? await ecr.putImage('team/app', tag, { layers: [{ size: 64, seed: `${tag} new` }] })
            : undefined
        const restore = await arrange(ecr, link, farSide)
        const before = asked(ecr)
        const answer = await get(mirror, tag, { method })
        const bytes = Buffer.from(await answer.arrayBuffer())
        await restore()

        const expected = TABLE[state][column]!
        const digest = expected.which && (expected.which === 'new' ? fresh : old)?.digest
        t.equal(answer.status, expected.status, cell)
        t.equal(answer.headers.get('x-cache'), expected.cache, `${cell}: X-Cache`)
        if (expected.which) {
          t.equal(answer.headers.get('docker-content-digest'), digest, `${cell}: digest`)
          if (method === 'GET') t.same(bytes, ecr.manifest('team/app', digest!)!.bytes, `${cell}: bytes`)
        }
        t.equal(answer.headers.has('warning'), expected.cache === 'stale', `${cell}: Warning`)
        if (expected.cache === 'hit') t.equal(asked(ecr), before, `${cell}: nobody is asked`)
        if (farSide === '404' || farSide === '403') {
          // What was said no to does not come back when nobody can be asked any more.
          await link.cut()
          const after = await get(mirror, tag, { method })
          await link.mend()
          const remembered = expected.cache === 'hit'
          t.equal(after.status, remembered ? 200 : 502, `${cell}: and then`)
        }
        results.push(cell)
      }
    }
  }
  t.equal(results.length, STATES.length * FAR_SIDES.length * 2)
})

async function arrange(ecr: Ecr, link: Link, farSide: string): Promise<() => Promise<void>> {
  const restore = async (): Promise<void> => {
    ecr.knobs.answer = {}
    ecr.knobs.iamDenied = {}
    ecr.knobs.serverError = {}
    ecr.knobs.throttle = {}
  }
  if (farSide === '404') ecr.knobs.answer.BatchGetImage = [{ status: 404, times: 100 }]
  if (farSide === '403') ecr.knobs.iamDenied.BatchGetImage = true
  if (farSide === '429') ecr.knobs.answer.BatchGetImage = [{ status: 429, times: 100 }]
  if (farSide === '5xx') ecr.knobs.serverError.BatchGetImage = 100
  if (farSide !== 'unreachable') return restore
  await link.cut()
  return async () => link.mend()
}

t.test("a 401 from the registry is the mirror's own trouble, and nothing is stood in for it", async t => {
  const mirror = await start(t)
  const { ecr, clock } = mirror
  await ecr.putImage('team/app', 't1')
  await get(mirror, 't1')
  clock.now += TTL
  ecr.knobs.answer.BatchGetImage = [{ status: 401, times: 100 }]
  const answer = await get(mirror, 't1')
  t.equal(answer.status, 503)
  t.match((await answer.json()).errors[0].message, /refuses the mirror's own AWS credentials/)
})

t.test('a HEAD and a GET by tag and by digest cost one request upstream', async t => {
  const mirror = await start(t, { policy: PULL })
  const { digest } = await mirror.ecr.putImage('team/app', 't1')
  const stored = mirror.ecr.manifest('team/app', 't1')!
  for (const [method, reference] of [
    ['HEAD', 't1'],
    ['GET', digest],
    ['GET', 't1'],
    ['HEAD', digest],
  ] as const) {
    const answer = await get(mirror, reference, { method })
    t.equal(answer.headers.get('docker-content-digest'), digest)
    t.equal(answer.headers.get('content-type'), stored.mediaType)
    t.equal(answer.headers.get('content-length'), String(stored.bytes.length))
    t.equal(Buffer.from(await answer.arrayBuffer()).length, method === 'GET' ? stored.bytes.length : 0)
  }
  t.equal(asked(mirror.ecr), 1)
})

t.test('however many ask for the same at once, the upstream is asked once', async t => {
  const mirror = await start(t, { knobs: { latency: { BatchGetImage: 300 } } })
  await mirror.ecr.putImage('team/app', 't1')
  const answers = await Promise.all(Array.from({ length: 50 }, () => get(mirror, 't1')))
  t.ok(answers.every(({ status }) => status === 200))
  t.equal(asked(mirror.ecr), 1)
  const results = answers.map(({ headers }) => headers.get('x-cache'))
  t.equal(results.filter(result => result === 'miss').length, 1)
  t.equal(results.filter(result => result === 'join').length, 49)
})

t.test('who leaves takes nothing from those who stay, and the last one leaves nothing behind', async t => {
  const mirror = await start(t, { knobs: { latency: { BatchGetImage: 500 } } })
  const { ecr } = mirror
  await ecr.putImage('team/app', 't1')
  const leaving = new AbortController()
  const pull = (signal?: AbortSignal): Promise<MirrorAnswer | undefined> =>
    mirror
      .fetch('/v2/team/app/manifests/t1', { headers: { accept: OCI }, ...(signal && { signal }) })
      .catch(() => undefined)
  const first = pull(leaving.signal)
  await ecr.arrived({ action: 'BatchGetImage' })
  const second = pull()
  await new Promise(resolve => setTimeout(resolve, 100))
  leaving.abort()
  t.equal(await first, undefined)
  t.equal((await second)?.status, 200)
  t.equal(asked(ecr), 1)

  await ecr.putImage('team/app', 't2')
  const alone = new AbortController()
  const only = mirror
    .fetch('/v2/team/app/manifests/t2', { headers: { accept: OCI }, signal: alone.signal })
    .catch(() => undefined)
  await ecr.arrived({ action: 'BatchGetImage' }, 2)
  alone.abort()
  await only
  await ecr.settled()
  t.equal(ecr.count({ action: 'BatchGetImage', aborted: true }), 1, 'the question is given up')
})

t.test('each set of accepted types has its own answer, whatever the order it is asked in', async t => {
  const mirror = await start(t)
  const { ecr } = mirror
  await ecr.putImage('team/app', 't1')
  const stored = ecr.manifest('team/app', 't1')!
  const other = stored.mediaType === OCI ? V2S2 : OCI
  const as = async (accept: string) => (await get(mirror, 't1', { accept })).headers.get('content-type')
  t.equal(await as(`${OCI}, ${V2S2}`), stored.mediaType)
  t.equal(await as(other), other, 'ECR converts')
  t.equal(await as(other), other)
  t.equal(await as(`${V2S2},${OCI}`), stored.mediaType)
  t.equal(asked(ecr), 2)
})

t.test('a client can have a tag asked for anew', async t => {
  const mirror = await start(t)
  const { ecr } = mirror
  for (const tag of ['t1', 'v1']) {
    await ecr.putImage('team/app', tag, { layers: [{ size: 9, seed: 'old' }] })
    await get(mirror, tag)
    const fresh = await ecr.putImage('team/app', tag, { layers: [{ size: 9, seed: 'new' }] })
    t.not((await get(mirror, tag)).headers.get('docker-content-digest'), fresh.digest)
    const anew = await get(mirror, tag, { 'cache-control': 'no-cache' })
    t.equal(anew.headers.get('docker-content-digest'), fresh.digest, tag)
    t.equal((await get(mirror, tag)).headers.get('docker-content-digest'), fresh.digest)
  }
})

t.test('a tag pushed through the mirror is seen at once, by clients of every kind', async t => {
  const mirror = await start(t)
  const { ecr, fetch } = mirror
  const old = await ecr.putImage('team/app', 't1', { layers: [{ size: 9, seed: 'old' }] })
  const accepts = [EVERYTHING, OCI, V2S2, `${V2S2}, */*`, '*/*']
  for (const accept of accepts) await get(mirror, 't1', { accept })
  const fresh = await ecr.putImage('team/app', 'other', { layers: [{ size: 9, seed: 'new' }] })
  const { bytes, mediaType } = ecr.manifest('team/app', 'other')!
  const put = await fetch('/v2/team/app/manifests/t1', {
    method: 'PUT',
    body: new Uint8Array(bytes),
    headers: { 'content-type': mediaType },
  })
  t.equal(put.status, 201)
  const before = asked(ecr)
  for (const accept of accepts) {
    const answer = await get(mirror, 't1', { accept })
    const got = Buffer.from(await answer.arrayBuffer())
    t.notSame(got, ecr.manifest('team/app', old.digest)!.bytes, accept)
    if (accept.includes(mediaType)) {
      t.equal(answer.headers.get('docker-content-digest'), fresh.digest)
      t.equal(answer.headers.get('x-cache'), 'hit', 'from what was pushed')
    }
  }
  t.ok(asked(ecr) > before, 'ECR is asked by who takes another type')
})

t.test('what was asked before a push or a deletion cannot bring the old back', async t => {
  for (const change of ['PUT', 'DELETE'] as const) {
    const mirror = await start(t, {
      knobs: { latency: {} },
      policy: [{ principals: ['*'], actions: ['pull', 'push', 'delete'] }],
    })
    const { ecr, fetch } = mirror
    const old = await ecr.putImage('team/app', 't1', { layers: [{ size: 9, seed: 'old' }] })
    await ecr.putImage('team/app', 'other', { layers: [{ size: 9, seed: 'new' }] })
    const { bytes, mediaType } = ecr.manifest('team/app', 'other')!
    const held = ecr.manifest('team/app', 't1')!

    // ECR reads the tag before the change, and its answer arrives after it.
    ecr.knobs.latency.BatchGetImage = 600
    ecr.knobs.answer.BatchGetImage = [
      { status: 200, headers: { 'Content-Type': held.mediaType }, body: held.bytes },
    ]
    const slow = get(mirror, 't1')
    await ecr.arrived({ action: 'BatchGetImage' })
    const changed = await fetch('/v2/team/app/manifests/t1', {
      method: change,
      ...(change === 'PUT' && { body: new Uint8Array(bytes), headers: { 'content-type': mediaType } }),
    })
    t.ok([201, 202].includes(changed.status), change)
    t.equal((await slow).headers.get('docker-content-digest'), old.digest, 'who asked before gets the old')
    ecr.knobs.latency = {}
    const after = await get(mirror, 't1')
    if (change === 'DELETE') t.equal(after.status, 404)
    else t.not(after.headers.get('docker-content-digest'), old.digest)
  }
})

t.test('of two pushes that overlap the upstream is asked which came last', async t => {
  const mirror = await start(t)
  const { ecr, fetch } = mirror
  for (const seed of ['one', 'two']) await ecr.putImage('team/app', seed, { layers: [{ size: 9, seed }] })
  const put = (image: string): Promise<MirrorAnswer> => {
    const { bytes, mediaType } = ecr.manifest('team/app', image)!
    const headers = { 'content-type': mediaType }
    return fetch('/v2/team/app/manifests/t1', { method: 'PUT', body: new Uint8Array(bytes), headers })
  }
  ecr.knobs.latency.PutImage = 500
  const slow = put('one')
  await ecr.arrived({ action: 'PutImage' })
  ecr.knobs.latency = {}
  t.equal((await put('two')).status, 201)
  t.equal((await get(mirror, 't1')).headers.get('x-cache'), 'hit', 'one alone is known')
  t.equal((await slow).status, 201)
  const after = await get(mirror, 't1')
  t.equal(after.headers.get('x-cache'), 'miss')
  t.equal(after.headers.get('docker-content-digest'), ecr.manifest('team/app', 't1')!.digest)
})

t.test('nothing old is served by who waited while a push came between', async t => {
  const mirror = await start(t)
  const { ecr, fetch, clock } = mirror
  await ecr.putImage('team/app', 't1', { layers: [{ size: 9, seed: 'old' }] })
  const fresh = await ecr.putImage('team/app', 'other', { layers: [{ size: 9, seed: 'new' }] })
  await get(mirror, 't1')
  clock.now += TTL
  ecr.knobs.hang.BatchGetImage = 1
  const waiting = get(mirror, 't1')
  await ecr.arrived({ action: 'BatchGetImage' }, 2)
  const { bytes, mediaType } = ecr.manifest('team/app', 'other')!
  const headers = { 'content-type': mediaType }
  await fetch('/v2/team/app/manifests/t1', { method: 'PUT', body: new Uint8Array(bytes), headers })
  t.equal((await waiting).headers.get('docker-content-digest'), fresh.digest)
})

t.test('a tag deleted upstream is gone after its time, one that moved is seen', async t => {
  const mirror = await start(t, { policy: [{ principals: ['*'], actions: ['pull', 'delete'] }] })
  const { ecr, clock } = mirror
  await ecr.putImage('team/app', 't1', { layers: [{ size: 9, seed: 'old' }] })
  await ecr.putImage('team/app', 't2')
  await get(mirror, 't1')
  await get(mirror, 't2')
  const moved = await ecr.putImage('team/app', 't1', { layers: [{ size: 9, seed: 'new' }] })
  const deleted = await ask(`${ecr.url}/v2/team/app/manifests/t2`, {
    method: 'DELETE',
    headers: { authorization: `Basic ${ecr.token().authorizationToken}`, host: ecr.host },
  })
  t.equal(deleted.status, 202)
  clock.now += TTL - 1
  t.not((await get(mirror, 't1')).headers.get('docker-content-digest'), moved.digest)
  t.equal((await get(mirror, 't2')).status, 200)
  clock.now += 1
  t.equal((await get(mirror, 't1')).headers.get('docker-content-digest'), moved.digest)
  t.equal((await get(mirror, 't2')).status, 404)
})

t.test('deleting an image by digest forgets every tag of its repository', async t => {
  const mirror = await start(t, { policy: [{ principals: ['*'], actions: ['pull', 'delete'] }] })
  const { ecr, fetch } = mirror
  const { digest } = await ecr.putImage('team/app', 't1')
  ecr.putManifest('team/app', 't2', ecr.manifest('team/app', 't1')!.bytes)
  await get(mirror, 't1')
  await get(mirror, 't2')
  await get(mirror, digest)
  t.equal((await fetch(`/v2/team/app/manifests/${digest}`, { method: 'DELETE' })).status, 202)
  for (const reference of ['t1', 't2', digest]) t.equal((await get(mirror, reference)).status, 404, reference)
})

t.test(
  'after a refused push the tag is asked for anew, since an attempt before may have been taken',
  async t => {
    const mirror = await start(t)
    const { ecr, fetch } = mirror
    ecr.createRepository('team/app', { immutable: true })
    const { digest } = await ecr.putImage('team/app', 't1')
    await get(mirror, 't1')
    const put = await fetch('/v2/team/app/manifests/t1', {
      method: 'PUT',
      body: '{ "schemaVersion": 2 }',
      headers: { 'content-type': OCI },
    })
    t.equal(put.status, 400)
    const after = await get(mirror, 't1')
    t.equal(after.headers.get('x-cache'), 'miss')
    t.equal(after.headers.get('docker-content-digest'), digest)
  },
)

t.test('tags and manifests outlive the process', async t => {
  const first = await start(t)
  const { digest } = await first.ecr.putImage('team/app', 't1')
  const { bytes, mediaType } = first.ecr.manifest('team/app', 't1')!
  await get(first, 't1')
  await first.app.close()
  await t.test('after the restart', async t => {
    const second = await start(t, { ecr: first.ecr, directory: first.directory, clock: first.clock })
    await second.link.cut()
    for (const reference of ['t1', digest]) {
      const answer = await get(second, reference)
      t.equal(answer.headers.get('x-cache'), 'hit', reference)
      t.equal(answer.headers.get('content-type'), mediaType)
      t.same(Buffer.from(await answer.arrayBuffer()), bytes)
    }
  })
})

t.test('while ECR is away another kind of client gets what one kind was given, if it takes that', async t => {
  const mirror = await start(t)
  const { ecr, link, clock } = mirror
  await ecr.putImage('team/app', 't1')
  const { mediaType, digest } = ecr.manifest('team/app', 't1')!
  await get(mirror, 't1', { accept: mediaType })
  await link.cut()
  clock.now += TTL
  const other = await get(mirror, 't1', { accept: `x/y, ${mediaType}, ${INDEX}` })
  t.equal(other.headers.get('x-cache'), 'stale')
  t.equal(other.headers.get('docker-content-digest'), digest)
  t.equal((await get(mirror, 't1', { accept: 'x/y' })).status, 502, 'what it does not take is not given')
})

t.test('a manifest is of the repositories that are proven to have it, and of no other', async t => {
  const mirror = await start(t)
  const { ecr, fetch } = mirror
  const { digest } = await ecr.putImage('team/app', 't1')
  await get(mirror, digest)
  ecr.createRepository('team/other')
  t.equal((await fetch(`/v2/team/other/manifests/${digest}`)).status, 404)
  t.equal((await fetch(`/v2/team/app/blobs/${digest}`)).status, 404, 'nor is it a blob')
  t.equal((await fetch(`/v2/team/app/blobs/${digest}`, { method: 'HEAD' })).status, 404)
})

t.test('an index renews what is known of its images, so that both hold equally long', async t => {
  const mirror = await start(t)
  const { ecr, clock, link } = mirror
  const child = await ecr.putImage('team/app', undefined)
  const { bytes, mediaType } = ecr.manifest('team/app', child.digest)!
  ecr.putManifest('team/app', 'many', {
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: [
      {
        mediaType,
        digest: child.digest,
        size: bytes.length,
        platform: { os: 'linux', architecture: 'amd64' },
      },
    ],
  })
  const layer = (JSON.parse(bytes.toString()) as { layers: [{ digest: string }] }).layers[0].digest
  const pull = async () => [
    (await get(mirror, 'many')).status,
    (await get(mirror, child.digest)).status,
    (await mirror.fetch(`/v2/team/app/blobs/${layer}`)).status,
  ]
  t.same(await pull(), [200, 200, 200])
  for (let hour = 0; hour < 5; hour++) {
    clock.now += STALE_FOR - TTL
    await get(mirror, 'many', { method: 'HEAD' })
  }
  await link.cut()
  clock.now += STALE_FOR - TTL
  t.same(await pull(), [200, 200, 200])
})
