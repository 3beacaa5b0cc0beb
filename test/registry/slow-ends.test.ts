import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { authorization, startMirror, type MirrorOptions, type MirrorUnderTest } from '../support/mirror.js'
import { digestOf } from '../support/pushing.js'
import { ask, type PlainAnswer } from '../support/requests.js'
import { inRing } from '../support/ring.js'

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

/** All that ends a wait, well below what the ends of these tests take. */
const HASTY: MirrorOptions = {
  timeLimits: { blob: 1000, answer: 1000, stall: 1000 },
  deps: { connections: { headersTimeout: 1000, bodyTimeout: 1000 } },
  settings: { limits: { idleTimeout: '1s' } },
}
const SLOW = 2500

interface End {
  readonly what: string
  readonly action: 'CompleteLayerUpload' | 'PutImage'
  /** Sends it, and gives the answer. */
  readonly send: (mirror: MirrorUnderTest, signal?: AbortSignal) => Promise<PlainAnswer>
}

const bytes = randomBytes(300_000)
const digest = digestOf(bytes)

async function begin(mirror: MirrorUnderTest): Promise<string> {
  mirror.ecr.createRepository('team/app')
  const begun = await mirror.fetch('/v2/team/app/blobs/uploads/', { method: 'POST' })
  return begun.headers.get('location') ?? ''
}

function send(
  { url }: MirrorUnderTest,
  method: string,
  path: string,
  options: { body?: Buffer | Readable; headers?: Record<string, string>; signal?: AbortSignal | undefined },
): Promise<PlainAnswer> {
  const { body, headers, signal } = options
  return ask(url + path, {
    method,
    headers: {
      authorization,
      ...(Buffer.isBuffer(body) && { 'content-length': body.length }),
      ...headers,
    },
    ...(body && { body }),
    ...(signal && { signal }),
  })
}

const ENDS: readonly End[] = [
  {
    what: 'the end of an upload without a body',
    action: 'CompleteLayerUpload',
    send: async (mirror, signal) => {
      const patched = await send(mirror, 'PATCH', await begin(mirror), { body: bytes })
      const location = String(patched.headers.location)
      return send(mirror, 'PUT', `${location}?digest=${digest}`, { signal })
    },
  },
  {
    what: 'an upload in one PUT',
    action: 'CompleteLayerUpload',
    send: async (mirror, signal) =>
      send(mirror, 'PUT', `${await begin(mirror)}?digest=${digest}`, { body: bytes, signal }),
  },
  {
    what: 'an upload in one chunked PUT',
    action: 'CompleteLayerUpload',
    send: async (mirror, signal) =>
      send(mirror, 'PUT', `${await begin(mirror)}?digest=${digest}`, {
        body: Readable.from([bytes]),
        headers: { 'transfer-encoding': 'chunked' },
        signal,
      }),
  },
  {
    what: 'an upload in one POST',
    action: 'CompleteLayerUpload',
    send: async (mirror, signal) => {
      mirror.ecr.createRepository('team/app')
      mirror.ecr.knobs.singlePost = true
      return send(mirror, 'POST', `/v2/team/app/blobs/uploads/?digest=${digest}`, { body: bytes, signal })
    },
  },
  {
    what: 'a manifest PUT',
    action: 'PutImage',
    send: async (mirror, signal) => {
      const config = await mirror.ecr.putBlob('team/app', Buffer.from('{}'))
      const manifest = Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: MANIFEST,
          config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config.digest, size: 2 },
          layers: [],
        }),
      )
      return send(mirror, 'PUT', '/v2/team/app/manifests/v1', {
        body: manifest,
        headers: { 'content-type': MANIFEST },
        signal,
      })
    },
  },
]

for (const { what, action, send: sendEnd } of ENDS) {
  t.test(`${what} is waited for beyond every limit of the mirror`, async t => {
    const mirror = await startMirror(t, HASTY)
    mirror.ecr.knobs.thinking[action] = SLOW
    t.equal((await sendEnd(mirror)).status, 201)
  })

  t.test(`${what}: a client that leaves ends the request upstream`, async t => {
    const mirror = await startMirror(t, HASTY)
    mirror.ecr.knobs.thinking[action] = SLOW
    const leaving = new AbortController()
    const left = sendEnd(mirror, leaving.signal).catch(() => 'left')
    await mirror.ecr.arrived({ method: what.includes('POST') ? 'POST' : 'PUT' })
    leaving.abort()
    t.equal(await left, 'left')
    await mirror.ecr.arrived(({ method, aborted }) => ['PUT', 'POST'].includes(method) && aborted)
    t.pass('ECR sees its client leave')
  })

  t.test(`${what}: an end of the mirror does not wait for it`, async t => {
    const mirror = await startMirror(t)
    mirror.ecr.knobs.hang[action] = 1
    if (what.includes('POST')) mirror.ecr.knobs.hang.InitiateLayerUpload = 1
    const cut = sendEnd(mirror).then(
      () => 'answered',
      () => 'cut',
    )
    await mirror.ecr.arrived({ method: what.includes('POST') ? 'POST' : 'PUT' })
    await mirror.app.close(AbortSignal.timeout(100))
    t.equal(await cut, 'cut')
    await mirror.ecr.settled()
  })
}

t.test('a manifest PUT waits for its turn among those that ECR takes a second', async t => {
  const mirror = await startMirror(t, { ...HASTY, upstream: { quotas: { PutImage: 1 } } })
  const put = ENDS.find(({ action }) => action === 'PutImage')!
  const answers = await Promise.all([put.send(mirror), put.send(mirror)])
  t.same(
    answers.map(({ status }) => status),
    [201, 201],
  )
})

async function temporaryDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'cache-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

async function refusedInTime(
  t: Test,
  knobs: (mirror: MirrorUnderTest) => void,
  request: [method: string, path: string],
  cache: boolean,
): Promise<void> {
  const mirror = await startMirror(t, {
    timeLimits: { blob: 200, answer: 200 },
    settings: {
      policy: [{ principals: ['*'], actions: ['pull', 'push', 'delete', 'catalog'] }],
      ...(cache && { cache: { directory: await temporaryDirectory(t) } }),
    },
  })
  mirror.ecr.createRepository('team/app')
  knobs(mirror)
  const [method, path] = request
  const answer = await mirror.fetch(path, { method })
  t.equal(answer.status, 504, `${method} ${path}`)
  t.ok(answer.headers.get('retry-after'))
}

const HUNG: readonly [method: string, path: string, action: keyof MirrorUnderTest['ecr']['knobs']['hang']][] =
  [
    ['GET', '/v2/team/app/manifests/v1', 'BatchGetImage'],
    ['HEAD', '/v2/team/app/manifests/v1', 'BatchGetImage'],
    ['GET', `/v2/team/app/blobs/${digest}`, 'GetDownloadUrlForLayer'],
    ['HEAD', `/v2/team/app/blobs/${digest}`, 'BatchCheckLayerAvailability'],
    ['GET', '/v2/team/app/tags/list', 'ListImages'],
    ['GET', '/v2/_catalog', 'DescribeRepositories'],
    ['GET', `/v2/team/app/referrers/${digest}`, 'ListImageReferrers'],
    ['POST', '/v2/team/app/blobs/uploads/', 'InitiateLayerUpload'],
    ['DELETE', '/v2/team/app/manifests/v1', 'BatchDeleteImage'],
    ['GET', '/v2/team/app/tags/list', 'GetAuthorizationToken'],
  ]

for (const [method, path, action] of HUNG)
  t.test(`${method} ${path} is refused in time while ECR is silent (${action})`, async t => {
    for (const cache of [false, true])
      await t.test(cache ? 'with a cache' : 'without a cache', t =>
        refusedInTime(
          t,
          // With a cache, a blob that is not proven is asked for by HEAD first.
          ({ ecr }) => (ecr.knobs.hang = { BatchCheckLayerAvailability: 9, [action]: 9 }),
          [method, path],
          cache,
        ),
      )
  })

t.test('a creation of a repository that takes too long is refused in time', async t => {
  const mirror = await startMirror(t, {
    timeLimits: { answer: 300 },
    upstream: { createRepositories: { match: ['**'] } },
  })
  mirror.ecr.knobs.hang.CreateRepository = 9
  t.equal((await mirror.fetch('/v2/team/new/blobs/uploads/', { method: 'POST' })).status, 504)
})

t.test("a PATCH's answer is waited for from the end of its body", async t => {
  const mirror = await startMirror(t, { timeLimits: { answer: 1000 } })
  const location = await begin(mirror)
  const slowly = Readable.from(
    (async function* () {
      for (let piece = 0; piece < 5; piece++) {
        await new Promise(resolve => setTimeout(resolve, 300))
        yield bytes.subarray(piece * 10_000, (piece + 1) * 10_000)
      }
    })(),
  )
  const chunked = { 'transfer-encoding': 'chunked' }
  const patched = await send(mirror, 'PATCH', location, { body: slowly, headers: chunked })
  t.equal(patched.status, 202, 'a body may take longer than an answer')
  mirror.ecr.knobs.thinking.UploadLayerPart = 5000
  const late = await send(mirror, 'PATCH', String(patched.headers.location), { body: bytes })
  t.equal(late.status, 504)
  t.ok(late.headers['retry-after'])
  const again = await send(mirror, 'PATCH', String(patched.headers.location), { body: bytes })
  t.equal(again.status, 404, 'it broke off')
})

t.test('an upstream that takes nothing of a body is not waited for', async t => {
  const mirror = await startMirror(t, { timeLimits: { stall: 300 } })
  const location = await begin(mirror)
  mirror.ecr.knobs.latency.CompleteLayerUpload = 600_000
  const large = randomBytes(20_000_000)
  const put = await send(mirror, 'PUT', `${location}?digest=${digestOf(large)}`, { body: large })
  t.equal(put.status, 504)
})

if (inRing({ short: 0, long: 1 }) > 0)
  for (const { what, action, send: sendEnd } of ENDS)
    t.test(`${what} that takes 35 s, with the limits that users have`, { timeout: 90_000 }, async t => {
      const mirror = await startMirror(t)
      mirror.ecr.knobs.thinking[action] = 35_000
      t.equal((await sendEnd(mirror)).status, 201)
    })
