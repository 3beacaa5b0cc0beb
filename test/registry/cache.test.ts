import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { digestOf } from '../../src/oci/digest.js'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { authorization, mirrorOf, type MirrorUnderTest } from '../support/mirror.js'
import { inRing } from '../support/ring.js'
import { ask } from '../support/requests.js'

const MiB = 1024 * 1024

interface Cached extends MirrorUnderTest {
  readonly directory: string
}

async function start(
  t: Test,
  {
    ecr,
    directory,
    cache = {},
    settings = {},
  }: { ecr?: Ecr; directory?: string; cache?: object; settings?: object } = {},
): Promise<Cached> {
  const farSide = ecr ?? (await startEcr({ knobs: { layerInaccessibleUntilTagged: false } }))
  if (!ecr) t.teardown(() => farSide.close())
  const place = directory ?? (await mkdtemp(join(tmpdir(), 'cache-')))
  if (!directory) t.teardown(() => rm(place, { recursive: true, force: true }))
  const mirror = await mirrorOf(t, farSide, {
    settings: { cache: { directory: place, ...cache }, ...settings },
  })
  return { ...mirror, directory: place }
}

/** Who may push is told by HEAD what the upstream says. */
const PULL = [{ principals: ['*'], actions: ['pull'] }]

const bodies = (ecr: Ecr): number => ecr.count({ at: 's3', method: 'GET' })

t.test('what was pulled once is served from the disk, to the byte', async t => {
  const { fetch, ecr } = await start(t, { settings: { policy: PULL } })
  const bytes = randomBytes(300_000)
  const { digest } = await ecr.putBlob('team/app', bytes)
  const results: (string | null)[] = []
  for (let count = 0; count < 3; count++) {
    const answer = await fetch(`/v2/team/app/blobs/${digest}`)
    t.equal(answer.status, 200)
    t.same(Buffer.from(await answer.arrayBuffer()), bytes)
    t.equal(answer.headers.get('docker-content-digest'), digest)
    results.push(answer.headers.get('x-cache'))
  }
  t.same(results, ['miss', 'hit', 'hit'])
  t.equal(bodies(ecr), 1)
  t.equal(ecr.count({ at: 'registry', method: 'HEAD' }), 1, 'whether the repository has it was asked once')
  const head = await fetch(`/v2/team/app/blobs/${digest}`, { method: 'HEAD' })
  t.equal(head.headers.get('content-length'), '300000')
  t.equal(head.headers.get('x-cache'), 'hit')
  t.equal(ecr.count({ at: 'registry', method: 'HEAD' }), 1, 'a HEAD is answered from here too')
})

t.test('ranges on a miss, on a hit, and beyond the end', async t => {
  const { fetch, ecr } = await start(t)
  const bytes = randomBytes(100_000)
  const get = async (digest: string, range: string) => {
    const answer = await fetch(`/v2/team/app/blobs/${digest}`, { headers: { range } })
    return {
      status: answer.status,
      range: answer.headers.get('content-range'),
      cache: answer.headers.get('x-cache'),
      bytes: Buffer.from(await answer.arrayBuffer()),
    }
  }
  const { digest } = await ecr.putBlob('team/app', bytes)
  t.same(
    await get(digest, 'bytes=500-599'),
    { status: 206, range: 'bytes 500-599/100000', cache: 'bypass', bytes: bytes.subarray(500, 600) },
    'a bounded range of what is not stored is not worth all of it',
  )
  t.same(
    await get(digest, 'bytes=99000-'),
    { status: 206, range: 'bytes 99000-99999/100000', cache: 'miss', bytes: bytes.subarray(99_000) },
    'a resumed download is',
  )
  t.equal((await (await fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()).byteLength, 100_000)
  t.same(await get(digest, 'bytes=500-599'), {
    status: 206,
    range: 'bytes 500-599/100000',
    cache: 'hit',
    bytes: bytes.subarray(500, 600),
  })
  t.same(await get(digest, 'bytes=-5'), {
    status: 206,
    range: 'bytes 99995-99999/100000',
    cache: 'hit',
    bytes: bytes.subarray(-5),
  })
  const beyond = await get(digest, 'bytes=100000-')
  t.equal(beyond.status, 416)
  t.equal(beyond.range, 'bytes */100000')
})

t.test('an empty blob', async t => {
  const { fetch, ecr } = await start(t)
  const { digest } = await ecr.putBlob('team/app', Buffer.alloc(0))
  for (const expected of ['miss', 'hit']) {
    const answer = await fetch(`/v2/team/app/blobs/${digest}`)
    t.equal(answer.status, 200)
    t.equal(answer.headers.get('content-length'), '0')
    t.equal(answer.headers.get('x-cache'), expected)
  }
})

t.test('bytes are stored once, but another repository has to be proven to have them', async t => {
  const { fetch, ecr } = await start(t)
  const bytes = randomBytes(1000)
  const { digest } = await ecr.putBlob('team/app', bytes)
  await (await fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()

  ecr.createRepository('team/other')
  const without = await fetch(`/v2/team/other/blobs/${digest}`)
  t.equal(without.status, 404, 'to know a digest is not to have a right to it')
  t.equal(without.headers.get('x-cache'), null)
  t.equal((await fetch(`/v2/team/other/blobs/${digest}`, { method: 'HEAD' })).status, 404)

  await ecr.putBlob('team/other', bytes)
  const asked = ecr.count({ method: 'HEAD', path: /other/ })
  t.equal((await fetch(`/v2/team/other/blobs/${digest}`)).headers.get('x-cache'), 'hit')
  t.equal((await fetch(`/v2/team/other/blobs/${digest}`)).headers.get('x-cache'), 'hit')
  t.equal(ecr.count({ method: 'HEAD', path: /other/ }) - asked, 1, 'asked once')
  t.equal(bodies(ecr), 1, 'and never downloaded again')
})

t.test('a small blob is served from memory as from the disk: its ranges, and to nobody else', async t => {
  const { fetch, ecr, directory } = await start(t, { settings: { policy: PULL } })
  const [bytes, nothing] = [randomBytes(5000), Buffer.alloc(0)]
  const { digest } = await ecr.putBlob('team/app', bytes)
  const empty = await ecr.putBlob('team/app', nothing)
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(path, { headers })
    const { status } = answer
    const named = [
      'content-length',
      'content-range',
      'content-type',
      'accept-ranges',
      'docker-content-digest',
    ]
    const told = Object.fromEntries(
      ['x-cache', ...named].map(name => [name, answer.headers.get(name)] as const),
    )
    return { status, told, bytes: Buffer.from(await answer.arrayBuffer()) }
  }
  const path = `/v2/team/app/blobs/${digest}`
  for (const each of [path, `/v2/team/app/blobs/${empty.digest}`]) {
    await get(each)
    await get(each)
  }
  const fetched = bodies(ecr)
  // Nothing but memory is left of them.
  await rm(join(directory, 'v1/blobs/sha256'), { recursive: true })
  const told = {
    'x-cache': 'hit',
    'content-length': '5000',
    'content-range': null,
    'content-type': 'application/octet-stream',
    'accept-ranges': 'bytes',
    'docker-content-digest': digest,
  }
  t.same(await get(path), { status: 200, told, bytes })
  t.same(await get(path, { range: 'bytes=-100' }), {
    status: 206,
    told: { ...told, 'content-length': '100', 'content-range': 'bytes 4900-4999/5000' },
    bytes: bytes.subarray(-100),
  })
  t.same(await get(path, { range: 'bytes=0-4999' }), {
    status: 206,
    told: { ...told, 'content-range': 'bytes 0-4999/5000' },
    bytes,
  })
  const beyond = await get(path, { range: 'bytes=5000-' })
  t.equal(beyond.status, 416)
  t.equal(beyond.told['content-range'], 'bytes */5000')
  t.match(await get(`/v2/team/app/blobs/${empty.digest}`), {
    status: 200,
    told: { 'x-cache': 'hit', 'content-length': '0' },
    bytes: nothing,
  })
  const head = await fetch(path, { method: 'HEAD' })
  t.equal(head.headers.get('content-length'), '5000')
  t.equal(head.headers.get('x-cache'), 'hit')

  ecr.createRepository('team/other')
  t.equal((await get(`/v2/team/other/blobs/${digest}`)).status, 404)
  t.equal(bodies(ecr), fetched, 'nothing was fetched again')
})

t.test('to ask for a mount that is not to be proves nothing, whatever is pushed in its place', async t => {
  const { fetch, ecr } = await start(t, {
    ecr: await startEcr({ profile: 'spec' }),
    settings: { policy: [{ principals: ['*'], repositories: ['team/**'], actions: ['pull', 'push'] }] },
  })
  t.teardown(() => ecr.close())
  const secret = await ecr.putBlob('secret/app', randomBytes(1000))
  await ecr.putBlob('team/base', await ecr.blob('secret/app', secret.digest)!.bytes())
  await (await fetch(`/v2/team/base/blobs/${secret.digest}`)).arrayBuffer()

  const bytes = randomBytes(100)
  const digest = digestOf(bytes)
  const query = `mount=${secret.digest}&from=secret/app&digest=${digest}`
  const pushed = await fetch(`/v2/team/app/blobs/uploads/?${query}`, { method: 'POST', body: bytes })
  t.equal(pushed.status, 201)
  t.equal(pushed.headers.get('docker-content-digest'), digest)
  t.equal((await fetch(`/v2/team/app/blobs/${secret.digest}`)).status, 404)
  t.equal((await fetch(`/v2/team/app/blobs/${digest}`)).headers.get('x-cache'), 'hit')
})

t.test('a manifest of the repository is proof for what it names', async t => {
  const { fetch, ecr } = await start(t)
  await ecr.putImage('team/app', 'v1')
  const image = JSON.parse(ecr.manifest('team/app', 'v1')!.bytes.toString()) as {
    config: { digest: string }
    layers: { digest: string }[]
  }
  const digests = [image.config.digest, ...image.layers.map(({ digest }) => digest)]
  for (const digest of digests) {
    await (await fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()
    await ecr.putBlob('team/fork', await ecr.blob('team/app', digest)!.bytes())
  }
  const { bytes, mediaType } = ecr.manifest('team/app', 'v1')!
  ecr.putManifest('team/fork', 'v1', bytes, { mediaType })
  await (await fetch('/v2/team/fork/manifests/v1')).arrayBuffer()
  for (const digest of digests) {
    t.equal((await fetch(`/v2/team/fork/blobs/${digest}`)).headers.get('x-cache'), 'hit')
  }
  t.equal(ecr.count({ method: 'HEAD', path: /fork/ }), 0, 'nothing had to be asked')
})

t.test('what is deleted from a repository is no longer served from it', async t => {
  const { fetch, ecr } = await start(t, {
    settings: { policy: [{ principals: ['*'], actions: ['pull', 'push', 'delete'] }] },
  })
  const image = await ecr.putImage('team/app', 'v1')
  const manifest = JSON.parse(ecr.manifest('team/app', 'v1')!.bytes.toString()) as {
    layers: { digest: string }[]
  }
  const layer = manifest.layers[0]!.digest
  await (await fetch('/v2/team/app/manifests/v1')).arrayBuffer()
  await (await fetch(`/v2/team/app/blobs/${layer}`)).arrayBuffer()
  t.equal((await fetch(`/v2/team/app/blobs/${layer}`)).headers.get('x-cache'), 'hit')
  t.equal((await fetch(`/v2/team/app/manifests/${image.digest}`, { method: 'DELETE' })).status, 202)
  ecr.knobs.answer.BatchCheckLayerAvailability = [{ status: 404, times: 10 }]
  t.equal((await fetch(`/v2/team/app/blobs/${layer}`)).status, 404, 'ECR is asked again')
})

t.test('an expired proof does while the upstream cannot be asked, and only then', async t => {
  const { fetch, ecr } = await start(t, { cache: { membership: { ttl: '1ms', staleFor: '1h' } } })
  const { digest } = await ecr.putBlob('team/app', randomBytes(1000))
  await (await fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()
  ecr.knobs.serverError.BatchCheckLayerAvailability = 100
  const stale = await fetch(`/v2/team/app/blobs/${digest}`)
  t.equal(stale.status, 200)
  t.equal(stale.headers.get('x-cache'), 'stale')
  t.match(stale.headers.get('warning'), /^299 - "/)
  ecr.knobs.serverError = {}
  t.equal((await fetch(`/v2/team/app/blobs/${digest}`)).headers.get('x-cache'), 'hit')
  ecr.knobs.answer.BatchCheckLayerAvailability = [{ status: 404 }]
  t.equal((await fetch(`/v2/team/app/blobs/${digest}`)).status, 404, 'a no is never papered over')
  ecr.knobs.serverError.BatchCheckLayerAvailability = 100
  ecr.knobs.serverError.GetDownloadUrlForLayer = 100
  t.ok((await fetch(`/v2/team/app/blobs/${digest}`)).status >= 500, 'and is remembered')
})

t.test('bytes and proofs outlive the process', async t => {
  const first = await start(t)
  const bytes = randomBytes(1000)
  const { digest } = await first.ecr.putBlob('team/app', bytes)
  await (await first.fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()
  await first.app.close()
  await t.test('after the restart', async t => {
    const { fetch, ecr } = await start(t, first)
    const before = ecr.count({ at: 'registry' })
    const answer = await fetch(`/v2/team/app/blobs/${digest}`)
    t.equal(answer.headers.get('x-cache'), 'hit')
    t.same(Buffer.from(await answer.arrayBuffer()), bytes)
    t.equal(ecr.count({ at: 'registry' }), before)
  })
})

t.test('a bit flipped on the disk is found before its reader could take the blob for good', async t => {
  // Enough for its beginning to be on the way before all of it has been hashed.
  const size = 2_000_000
  const BLOBS = inRing({ short: 25, long: 100 })
  for (const verify of ['first', 'always']) {
    const first = await start(t, { cache: { verify } })
    const digests: string[] = []
    for (let count = 0; count < BLOBS; count++) {
      digests.push((await first.ecr.putBlob('team/app', randomBytes(size))).digest)
    }
    for (const digest of digests) await (await first.fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()
    const mirror = verify === 'always' ? first : undefined
    if (!mirror) await first.app.close()
    for (const [index, digest] of digests.entries())
      await flip(first.directory, digest, (index * 19_999) % size)
    await t.test(`${verify}: ${mirror ? 'while it runs' : 'after a restart'}`, async t => {
      const { url, ecr, log } = mirror ?? (await start(t, { ...first, cache: { verify } }))
      for (const digest of digests) {
        const get = () => ask(`${url}/v2/team/app/blobs/${digest}`, { headers: { authorization } })
        const right = await ecr.blob('team/app', digest)!.bytes()
        const [bad, good] = [await get(), await get()]
        if (bad.complete && !bad.bytes.equals(right)) t.fail('a bad blob was served in full')
        if (!good.complete || !good.bytes.equals(right)) t.fail('the next one did not get it anew')
      }
      t.equal(log.filter(({ msg }) => msg === 'mismatch').length, BLOBS, 'each is found')
    })
    if (mirror) await first.app.close()
  }
})

t.test('a small one that turned bad is fetched anew under its reader', async t => {
  const { fetch, ecr, directory } = await start(t, { cache: { verify: 'always' } })
  const bytes = randomBytes(3000)
  const { digest } = await ecr.putBlob('team/app', bytes)
  await (await fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()
  t.equal((await fetch(`/v2/team/app/blobs/${digest}`)).headers.get('x-cache'), 'hit')
  await flip(directory, digest, 1000)
  const answer = await fetch(`/v2/team/app/blobs/${digest}`)
  t.equal(answer.headers.get('x-cache'), 'miss')
  t.same(Buffer.from(await answer.arrayBuffer()), bytes)
})

async function flip(directory: string, digest: string, at: number): Promise<void> {
  const { readFile } = await import('node:fs/promises')
  const hex = digest.slice('sha256:'.length)
  const file = join(directory, 'v1/blobs/sha256', hex.slice(0, 2), hex)
  const bytes = await readFile(file)
  bytes[at]! ^= 1
  await writeFile(file, bytes)
}

t.test('a cache that cannot be written streams, and says so', async t => {
  const directory = await mkdtemp(join(tmpdir(), 'cache-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  await writeFile(join(directory, 'v1'), 'in the way')
  const { fetch, ecr, log } = await start(t, { directory })
  const bytes = randomBytes(100_000)
  const { digest } = await ecr.putBlob('team/app', bytes)
  for (let count = 0; count < 2; count++) {
    const answer = await fetch(`/v2/team/app/blobs/${digest}`)
    t.equal(answer.status, 200)
    t.equal(answer.headers.get('x-cache'), 'bypass')
    t.same(Buffer.from(await answer.arrayBuffer()), bytes)
  }
  t.match(JSON.stringify(log), /cache/i)
})

t.test('two mirrors do not share a directory', async t => {
  const first = await start(t)
  await t.rejects(start(t, { ecr: first.ecr, directory: first.directory }), /in use by another/)
})

t.test('a fleet on one cold blob costs one download, and all are served', async t => {
  const { url, ecr } = await start(t)
  const bytes = randomBytes(20 * MiB)
  const { digest } = await ecr.putBlob('team/app', bytes)
  const answers = await Promise.all(
    Array.from({ length: 30 }, () =>
      ask(`${url}/v2/team/app/blobs/${digest}`, { headers: { authorization } }),
    ),
  )
  for (const answer of answers) t.ok(answer.complete && answer.bytes.equals(bytes))
  const results = answers.map(({ headers }) => String(headers['x-cache']))
  t.equal(results.filter(result => result === 'miss').length, 1)
  t.ok(results.every(result => ['miss', 'join', 'hit'].includes(result)))
  const sent = ecr.requests.filter(({ at }) => at === 's3').length
  t.equal(sent, 3, 'three ranges of eight MiB')
})

t.test('the directory holds nothing but what is documented', async t => {
  const { fetch, ecr, directory, app } = await start(t)
  const { digest } = await ecr.putBlob('team/app', randomBytes(100))
  await (await fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()
  await app.close()
  t.same((await readdir(join(directory, 'v1'))).sort(), [
    'blobs',
    'ingest',
    'membership.journal',
    'partial',
    'quarantine',
    'scrub.json',
    'tags.journal',
  ])
  t.same(await readdir(join(directory, 'v1/ingest')), [])
  await chmod(directory, 0o700)
})

t.test('/readyz tells of the cache, which is reason enough to be ready', async t => {
  const { app, fetch, ecr } = await start(t, {
    ecr: await startEcr({ knobs: { layerInaccessibleUntilTagged: false, tokenTtl: 1 } }),
  })
  t.teardown(() => ecr.close())
  const { digest } = await ecr.putBlob('team/app', randomBytes(1000))
  await (await fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()
  await (await fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()
  ecr.knobs.serverError.GetAuthorizationToken = 1000
  await new Promise(resolve => setTimeout(resolve, 1500))
  const ready = await globalThis.fetch(`${app.operationsUrl}/readyz`)
  t.equal(ready.status, 200)
  t.match(await ready.json(), {
    checks: [
      { name: 'token of main', ok: true, detail: /no token.*what is cached is served/ },
      { name: 'autonomy of main', ok: true },
      { name: 'cache', ok: true, detail: /^1 blobs, 0\.0 of 100\.0 GiB/ },
    ],
  })
  t.equal((await fetch(`/v2/team/app/blobs/${digest}`)).headers.get('x-cache'), 'hit', 'and so it is')
})
