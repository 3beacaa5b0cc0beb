import { randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { digestOf } from '../../src/oci/digest.js'
import { type Ecr, type EcrOptions } from '../ecr/ecr.js'
import { startMirror, type MirrorUnderTest } from '../support/mirror.js'
import { ask, type PlainAnswer } from '../support/requests.js'

const MiB = 1024 * 1024
const OWNER = 'owner'
const STRANGER = 'stranger'
const passwordOf = (user: string): string => `password of ${user}`
const login = (user: string): { authorization: string } => ({
  authorization: `Basic ${Buffer.from(`${user}:${passwordOf(user)}`).toString('base64')}`,
})

interface TwoTenants extends MirrorUnderTest {
  /** A request on a connection of its own. */
  readonly as: (
    user: string,
    path: string,
    options?: { method?: string; headers?: object; signal?: AbortSignal },
  ) => Promise<PlainAnswer>
  readonly directory: string
}

/** A mirror for two users, each with a repository of his own: `private/app` and `public/app`. */
async function twoTenants(
  t: Test,
  { ecr = {}, cache = {}, now }: { ecr?: EcrOptions; cache?: object; now?: () => number } = {},
): Promise<TwoTenants> {
  const directory = await mkdtemp(join(tmpdir(), 'blob-access-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const mirror = await startMirror(t, {
    ecr: { ...ecr, knobs: { layerInaccessibleUntilTagged: false, ...ecr.knobs } },
    users: [OWNER, STRANGER].map(user => `${user}:${passwordOf(user)}`).join(','),
    settings: {
      cache: { directory, ...cache },
      policy: [
        { principals: [OWNER], repositories: ['private/**'], actions: ['pull'] },
        { principals: [STRANGER], repositories: ['public/**'], actions: ['pull'] },
      ],
    },
    ...(now && { now }),
    logLevel: 'debug',
  })
  await mirror.ecr.putImage('public/app', 'v1')
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  return {
    ...mirror,
    directory,
    as: (user, path, { headers, ...options } = {}) =>
      ask(mirror.url + path, { ...options, agent, headers: { ...login(user), ...headers } }),
  }
}

const blobReads = ({ ecr }: { ecr: Ecr }): number =>
  ecr.count({ at: 'registry', action: 'GetDownloadUrlForLayer' })
const questions = ({ ecr }: { ecr: Ecr }): number =>
  ecr.count({ at: 'registry', action: 'BatchCheckLayerAvailability' })

const times = <T>(count: number, work: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => work(index)))

t.test(
  'a repository without the blob begins no download, however many ask while its owner pulls',
  async t => {
    const mirror = await twoTenants(t)
    const bytes = randomBytes(20 * MiB)
    const { digest } = await mirror.ecr.putBlob('private/app', bytes)
    const strangers = times(300, () => mirror.as(STRANGER, `/v2/public/app/blobs/${digest}`))
    const owned = await mirror.as(OWNER, `/v2/private/app/blobs/${digest}`)
    t.equal(owned.status, 200)
    t.equal(owned.headers['x-cache'], 'miss')
    t.ok(owned.bytes.equals(bytes))
    for (const { status, headers } of await strangers) {
      t.equal(status, 404)
      t.equal(headers['x-cache'], undefined)
    }
    t.equal(mirror.ecr.count({ path: /public\/app\/blobs/, method: 'GET' }), 0)
    t.equal(blobReads(mirror), 1)
  },
)

t.test(
  'a pull ends while the questions of a user who has no right to the blob wait for the upstream',
  async t => {
    const mirror = await twoTenants(t)
    const image = await mirror.ecr.putImage('private/app', 'v1')
    const layer = image.layers[0]!.digest
    mirror.ecr.knobs.hang.BatchCheckLayerAvailability = 1000
    const leaving = new AbortController()
    setMaxListeners(0, leaving.signal)
    const strangers = times(300, index =>
      mirror
        .as(STRANGER, `/v2/public/app/blobs/${index % 2 ? layer : digestOf(Buffer.from(String(index)))}`, {
          signal: leaving.signal,
        })
        .catch(() => undefined),
    )
    await mirror.ecr.arrived({ action: 'BatchCheckLayerAvailability' }, 10)
    t.equal((await mirror.as(OWNER, '/v2/private/app/manifests/v1')).status, 200)
    for (const { digest } of image.layers) {
      const { status, headers } = await mirror.as(OWNER, `/v2/private/app/blobs/${digest}`)
      t.equal(status, 200)
      t.equal(headers['x-cache'], 'miss')
    }
    t.ok(mirror.ecr.open > 0, 'the questions are still waiting')
    leaving.abort()
    await strangers
    t.equal(blobReads(mirror), image.layers.length)
  },
)

t.test(
  'one client asks the upstream only a share of its questions at a time, and others ask meanwhile',
  async t => {
    const mirror = await twoTenants(t)
    const bytes = randomBytes(1000)
    const { digest } = await mirror.ecr.putBlob('private/app', bytes)
    mirror.ecr.knobs.hang.BatchCheckLayerAvailability = 32
    const leaving = new AbortController()
    setMaxListeners(0, leaving.signal)
    const strangers = times(200, index =>
      mirror
        .as(STRANGER, `/v2/public/app/blobs/${digestOf(Buffer.from(String(index)))}`, {
          signal: leaving.signal,
        })
        .catch(() => undefined),
    )
    await mirror.ecr.arrived({ action: 'BatchCheckLayerAvailability' }, 32)
    t.equal((await mirror.as(OWNER, `/v2/private/app/blobs/${digest}`)).status, 200)
    t.equal(questions(mirror), 33, 'a quarter of the connections to the registry, and the owner')
    const refused = await mirror.as(STRANGER, `/v2/public/app/blobs/${digest}`)
    t.equal(refused.status, 503)
    t.ok(refused.headers['retry-after'])
    leaving.abort()
    await strangers
  },
)

t.test('manifests and referrers that a client asks for count among its questions', async t => {
  for (const [kind, action] of [
    ['manifests', 'BatchGetImage'],
    ['referrers', 'ListImageReferrers'],
  ] as const) {
    const mirror = await twoTenants(t)
    const image = await mirror.ecr.putImage('private/app', 'v1')
    mirror.ecr.knobs.hang[action] = 32
    const leaving = new AbortController()
    setMaxListeners(0, leaving.signal)
    const { signal } = leaving
    const strangers = times(200, index =>
      mirror
        .as(STRANGER, `/v2/public/app/${kind}/${digestOf(Buffer.from(String(index)))}`, { signal })
        .catch(() => undefined),
    )
    await mirror.ecr.arrived({ action }, 32)
    t.equal((await mirror.as(OWNER, '/v2/private/app/manifests/v1')).status, 200)
    for (const { digest } of image.layers)
      t.equal((await mirror.as(OWNER, `/v2/private/app/blobs/${digest}`)).status, 200)
    t.equal(mirror.ecr.count({ action, path: /public/ }), 32)
    leaving.abort()
    await strangers
  }
})

t.test('equal questions about one repository are one question to the upstream', async t => {
  const mirror = await twoTenants(t)
  const { digest } = await mirror.ecr.putBlob('public/app', randomBytes(1000))
  mirror.ecr.knobs.latency.BatchCheckLayerAvailability = 300
  const unknown = digestOf(Buffer.from('nobody has this'))
  const answers = await times(60, index =>
    mirror.as(STRANGER, `/v2/public/app/blobs/${index % 2 ? digest : unknown}`),
  )
  t.same(
    answers.map(({ status }) => status),
    answers.map((_, index) => (index % 2 ? 200 : 404)),
  )
  t.equal(questions(mirror), 2)
  t.equal(blobReads(mirror), 1)
})

t.test('a refused request hashes nothing, although all that is read is verified', async t => {
  const mirror = await twoTenants(t, { cache: { verify: 'always' } })
  const { digest } = await mirror.ecr.putBlob('private/app', randomBytes(100_000))
  t.equal((await mirror.as(OWNER, `/v2/private/app/blobs/${digest}`)).status, 200)
  t.equal((await mirror.as(OWNER, `/v2/private/app/blobs/${digest}`)).headers['x-cache'], 'hit')
  const path = await stored(mirror.directory, digest)
  const damaged = await readFile(path)
  damaged[500] = damaged[500]! ^ 1
  await writeFile(path, damaged)
  t.equal((await mirror.as(STRANGER, `/v2/public/app/blobs/${digest}`)).status, 404)
  t.equal(
    (await mirror.as(STRANGER, `/v2/public/app/blobs/${digest}`, { headers: { range: 'bytes=5-' } })).status,
    404,
  )
  const found = (): boolean => mirror.log.some(({ msg }) => msg === 'mismatch')
  t.notOk(found())
  t.equal((await mirror.as(OWNER, `/v2/private/app/blobs/${digest}`)).status, 200)
  t.ok(found(), 'the owner, by contrast, has it hashed, found bad, and fetched again')
})

t.test('a refusal does not show whether a digest is cached, being downloaded, or unknown', async t => {
  const mirror = await twoTenants(t)
  const { ecr } = mirror
  const image = await ecr.putImage('private/app', 'v1')
  await mirror.as(OWNER, '/v2/private/app/manifests/v1')
  const cached = (await ecr.putBlob('private/app', randomBytes(100_000))).digest
  t.equal((await mirror.as(OWNER, `/v2/private/app/blobs/${cached}`)).status, 200)
  const small = image.layers[0]!.digest
  for (let time = 0; time < 2; time++) await mirror.as(OWNER, `/v2/private/app/blobs/${small}`)
  // More than one range is needed, and the second is never answered.
  const big = (await ecr.putBlob('private/app', randomBytes(30 * MiB))).digest
  ecr.knobs.s3.slow = 100_000
  const leaving = new AbortController()
  setMaxListeners(0, leaving.signal)
  const downloading = mirror.as(OWNER, `/v2/private/app/blobs/${big}`, { signal: leaving.signal })
  await ecr.arrived(({ at, status }) => at === 's3' && status === undefined)

  const unknown = digestOf(Buffer.from('nobody has this'))
  const ranges = [undefined, 'bytes=0-', 'bytes=10-19', 'bytes=-5', 'bytes=99999999999-', 'bytes=0-1,5-9']
  const requests = [
    ...ranges.flatMap(range =>
      ['GET', 'HEAD'].map(method => ({ kind: 'blobs', method, headers: range ? { range } : {} })),
    ),
    ...['GET', 'HEAD'].flatMap(method =>
      [{}, { 'cache-control': 'no-cache' }].map(headers => ({ kind: 'manifests', method, headers })),
    ),
    { kind: 'referrers', method: 'GET', headers: {} },
  ]
  for (const { kind, method, headers } of requests) {
    const told = async (digest: string): Promise<object> => {
      const answer = await mirror.as(STRANGER, `/v2/public/app/${kind}/${digest}`, { method, headers })
      const { date, 'x-request-id': id, ...rest } = answer.headers
      t.ok(date !== undefined && id !== undefined)
      return {
        status: answer.status,
        headers: rest,
        body: answer.bytes.toString().replaceAll(digest, 'the digest'),
      }
    }
    const [expected, ...others] = await Promise.all([unknown, cached, small, big, image.digest].map(told))
    if (kind !== 'referrers') t.match(expected, { status: 404 })
    for (const other of others) t.same(other, expected, `${method} ${kind} ${JSON.stringify(headers)}`)
  }
  leaving.abort()
  await t.rejects(downloading)
})

t.test('a proof that has expired is renewed before the cache is touched', async t => {
  const HOUR = 3_600_000
  let now = Date.now()
  const mirror = await twoTenants(t, { now: () => now })
  const { digest } = await mirror.ecr.putBlob('private/app', randomBytes(100_000))
  const get = () => mirror.as(OWNER, `/v2/private/app/blobs/${digest}`)
  t.equal((await get()).headers['x-cache'], 'miss')
  const asked = questions(mirror)
  t.equal((await get()).headers['x-cache'], 'hit')
  t.equal(questions(mirror), asked, 'a fresh proof is not asked for')
  now += 2 * HOUR
  t.equal((await get()).headers['x-cache'], 'hit')
  t.equal(questions(mirror), asked + 1)
  now += 2 * HOUR
  mirror.ecr.knobs.answer.BatchCheckLayerAvailability = [{ status: 404 }]
  t.equal((await get()).status, 404, 'lost at the upstream, and not served from the cache')
  t.equal(blobReads(mirror), 1)
})

async function stored(directory: string, digest: string): Promise<string> {
  const name = digest.slice('sha256:'.length)
  const files = await readdir(directory, { recursive: true })
  return join(
    directory,
    files.find(file => file.includes('blobs') && file.endsWith(name))!,
  )
}
