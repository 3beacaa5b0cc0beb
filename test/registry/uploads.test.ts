import { createHash, randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { authorization, startMirror, type MirrorUnderTest } from '../support/mirror.js'
import { ask } from '../support/requests.js'

const MiB = 1024 * 1024
const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

interface Step {
  readonly status: number
  readonly location: string
  readonly headers: Headers
  readonly text: string
}

async function step(
  mirror: MirrorUnderTest,
  method: string,
  path: string,
  body?: Uint8Array,
  headers: Record<string, string> = {},
): Promise<Step> {
  const answer = await mirror.fetch(path, {
    method,
    headers,
    ...(body && { body: body as Uint8Array<ArrayBuffer> }),
  })
  return {
    status: answer.status,
    location: answer.headers.get('location') ?? '',
    headers: answer.headers,
    text: await answer.text(),
  }
}

async function start(mirror: MirrorUnderTest, repository = 'team/app'): Promise<string> {
  mirror.ecr.createRepository(repository)
  const begun = await step(mirror, 'POST', `/v2/${repository}/blobs/uploads/`)
  return begun.location
}

t.test('a push as docker does it: begun, streamed, finished', async t => {
  const mirror = await startMirror(t)
  mirror.ecr.createRepository('team/app')
  const bytes = randomBytes(6 * MiB)
  const digest = digestOf(bytes)
  const begun = await step(mirror, 'POST', '/v2/team/app/blobs/uploads/')
  t.equal(begun.status, 202)
  t.match(begun.location, /^\/v2\/team\/app\/blobs\/uploads\/[A-Za-z0-9_-]+$/, 'a path of the mirror, sealed')
  t.equal(begun.headers.get('range'), '0-0')
  t.equal(begun.headers.get('oci-chunk-min-length'), String(5 * MiB))
  const id = begun.headers.get('docker-upload-uuid')
  t.match(id, /^[0-9a-f-]{36}$/, 'ECR gives none')

  const patched = await ask(mirror.url + begun.location, {
    method: 'PATCH',
    headers: { authorization, 'transfer-encoding': 'chunked' },
    body: Readable.from([bytes]),
  })
  t.equal(patched.status, 202, 'ECR answers 201')
  t.equal(patched.headers.range, `0-${bytes.length - 1}`)
  t.equal(patched.headers['docker-upload-uuid'], id)

  const finished = await step(
    mirror,
    'PUT',
    `${patched.headers.location}?digest=${encodeURIComponent(digest)}`,
  )
  t.equal(finished.status, 201)
  t.equal(finished.location, `/v2/team/app/blobs/${digest}`)
  t.equal(finished.headers.get('docker-content-digest'), digest)
  t.same(await mirror.ecr.blob('team/app', digest)!.bytes(), bytes)
  for (const request of mirror.ecr.requests) t.not(request.headers.authorization, authorization)
})

t.test('a push in chunks: the Range advances, though that of ECR does not', async t => {
  const mirror = await startMirror(t)
  const bytes = randomBytes(13 * MiB)
  let location = await start(mirror)
  for (const [from, to] of [
    [0, 5 * MiB],
    [5 * MiB, 10 * MiB],
    [10 * MiB, 13 * MiB],
  ] as const) {
    const patched = await step(mirror, 'PATCH', location, bytes.subarray(from, to), {
      'content-range': `${from}-${to - 1}`,
    })
    t.equal(patched.status, 202)
    t.equal(patched.headers.get('range'), `0-${to - 1}`)
    location = patched.location
  }
  const status = await step(mirror, 'GET', location)
  t.equal(status.status, 204, 'ECR cannot say how far an upload is')
  t.equal(status.headers.get('range'), `0-${bytes.length - 1}`)
  t.equal((await step(mirror, 'PUT', `${status.location}?digest=${digestOf(bytes)}`)).status, 201)
  t.same(await mirror.ecr.blob('team/app', digestOf(bytes))!.bytes(), bytes)
})

t.test('a chunk out of order is refused, and the upload goes on', async t => {
  const mirror = await startMirror(t)
  const location = await start(mirror)
  const before = mirror.ecr.requests.length
  const skipped = await step(mirror, 'PATCH', location, randomBytes(10), { 'content-range': '7-16' })
  t.equal(skipped.status, 416)
  t.match(JSON.parse(skipped.text).errors[0], { code: 'BLOB_UPLOAD_INVALID', message: /byte 7.*at 0/ })
  t.equal(
    (await step(mirror, 'PATCH', location, randomBytes(10), { 'content-range': 'nonsense' })).status,
    400,
  )
  t.equal(mirror.ecr.requests.length, before)
  const bytes = randomBytes(10)
  const patched = await step(mirror, 'PATCH', location, bytes, { 'content-range': '0-9' })
  t.equal(patched.status, 202)
  t.equal((await step(mirror, 'PUT', `${patched.location}?digest=${digestOf(bytes)}`)).status, 201)
})

t.test('a push in one PUT', async t => {
  const mirror = await startMirror(t)
  const bytes = randomBytes(MiB)
  const finished = await step(mirror, 'PUT', `${await start(mirror)}?digest=${digestOf(bytes)}`, bytes)
  t.equal(finished.status, 201)
  t.same(await mirror.ecr.blob('team/app', digestOf(bytes))!.bytes(), bytes)
})

t.test('what ECR refuses is said in its words', async t => {
  const mirror = await startMirror(t)
  const bytes = randomBytes(100)
  const wrong = await step(
    mirror,
    'PUT',
    `${await start(mirror)}?digest=${digestOf(Buffer.from('other'))}`,
    bytes,
  )
  t.equal(wrong.status, 400)
  t.match(JSON.parse(wrong.text).errors[0], {
    code: 'BLOB_UPLOAD_INVALID',
    message: /None of the provided layer digests/,
  })

  let location = await start(mirror)
  for (let from = 0; from < 3000; from += 1000) {
    location = (
      await step(mirror, 'PATCH', location, randomBytes(1000), { 'content-range': `${from}-${from + 999}` })
    ).location
  }
  const small = await step(mirror, 'PUT', `${location}?digest=${digestOf(bytes)}`)
  t.equal(small.status, 400)
  t.match(small.text, /at least 5MB/, 'chunks that are too small')

  t.equal((await step(mirror, 'PUT', await start(mirror), bytes)).status, 400, 'a PUT without a digest')
  const nowhere = await step(mirror, 'POST', '/v2/team/none/blobs/uploads/')
  t.equal(nowhere.status, 404)
  t.match(JSON.parse(nowhere.text).errors[0], {
    code: 'NAME_UNKNOWN',
    message: /does not exist in the registry/,
  })
})

t.test('a dropped connection where the repository is missing is named as that', async t => {
  const mirror = await startMirror(t, { ecr: { knobs: { missingRepo: 'drop' } } })
  const dropped = await step(mirror, 'POST', '/v2/team/none/blobs/uploads/')
  t.equal(dropped.status, 502)
  t.match(JSON.parse(dropped.text).errors[0].message, /repository/)
})

t.test('a session is worth nothing to anybody else, nor altered, nor for another repository', async t => {
  const mirror = await startMirror(t, { users: 'ci:correct horse: battery,dev:secret' })
  const location = await start(mirror)
  const before = mirror.ecr.requests.length
  const session = location.split('/').at(-1)!
  const dev = { authorization: `Basic ${Buffer.from('dev:secret').toString('base64')}` }
  const rows: [string, string, Record<string, string>][] = [
    ["another user's", location, dev],
    ['for another repository', `/v2/team/other/blobs/uploads/${session}`, {}],
    ['cut short', location.slice(0, -4), {}],
    ['made longer', `${location}AAAA`, {}],
    ['empty', '/v2/team/app/blobs/uploads/A', {}],
    ...Array.from({ length: 40 }, (_, index): [string, string, Record<string, string>] => {
      const at = Math.floor((index / 40) * session.length)
      const flipped = session.slice(0, at) + (session[at] === 'A' ? 'B' : 'A') + session.slice(at + 1)
      return [`altered at ${at}`, `/v2/team/app/blobs/uploads/${flipped}`, {}]
    }),
  ]
  for (const [what, path, headers] of rows) {
    for (const method of ['PATCH', 'GET', 'DELETE']) {
      const answer = await step(
        mirror,
        method,
        path,
        method === 'PATCH' ? Buffer.from('x') : undefined,
        headers,
      )
      t.equal(answer.status, 404, `${method} ${what}`)
      t.equal(JSON.parse(answer.text).errors[0].code, 'BLOB_UPLOAD_UNKNOWN')
    }
  }
  t.equal(mirror.ecr.requests.length, before, 'ECR never heard of it')
  t.equal((await step(mirror, 'PATCH', location, randomBytes(10))).status, 202, 'its owner goes on')
})

t.test('an upload that is given up is gone', async t => {
  const mirror = await startMirror(t)
  const location = await start(mirror)
  t.equal((await step(mirror, 'DELETE', location)).status, 204)
  t.equal((await step(mirror, 'PATCH', location, randomBytes(10))).status, 404)
})

t.test('an upload whose client leaves in the middle is over, here and at ECR', async t => {
  const mirror = await startMirror(t)
  const location = await start(mirror)
  const { hostname, port } = new URL(mirror.url)
  const socket = connect(Number(port), hostname)
  socket.write(
    `PATCH ${location} HTTP/1.1\r\nHost: m\r\nAuthorization: ${authorization}\r\nContent-Length: 1000000\r\n\r\n`,
  )
  socket.write(randomBytes(100_000))
  while (!mirror.ecr.requests.some(({ method, bodyBytes }) => method === 'PATCH' && bodyBytes > 0))
    await pause(10)
  socket.destroy()
  while (mirror.ecr.open > 0) await pause(10)
  t.equal(
    mirror.ecr.requests.find(({ method }) => method === 'PATCH')?.aborted,
    true,
    'the upstream request ended',
  )
  const again = await step(mirror, 'PATCH', location, randomBytes(10))
  t.equal(again.status, 404, 'the client has to start anew')
  t.equal(JSON.parse(again.text).errors[0].code, 'BLOB_UPLOAD_UNKNOWN')
})

t.test('a refusal in the middle of a push reaches the client, on a connection that lives on', async t => {
  const mirror = await startMirror(t)
  const location = await start(mirror)
  mirror.ecr.knobs.iamDenied.UploadLayerPart = true
  const denied = await ask(mirror.url + location, {
    method: 'PATCH',
    headers: { authorization },
    body: Readable.from(chunks(20)),
  })
  t.equal(denied.status, 403)
  t.match(JSON.parse(denied.bytes.toString()).errors[0], { code: 'DENIED', message: /ecr:UploadLayerPart/ })
})

function* chunks(count: number): Generator<Buffer> {
  for (let number = 0; number < count; number++) yield randomBytes(MiB)
}

t.test("a token that dies under a streamed body is the mirror's matter: 503, never 401 or 403", async t => {
  for (const profile of ['ecr', 'spec'] as const) {
    const mirror = await startMirror(t, { ecr: { profile }, deps: { renewAfter: 0 } })
    const location = await start(mirror)
    // Two calls for a token are at least a second apart.
    await pause(1100)
    mirror.ecr.expireTokens()
    const died = await ask(mirror.url + location, {
      method: 'PATCH',
      headers: { authorization },
      body: Readable.from(chunks(3)),
    })
    t.equal(died.status, 503, profile)
    t.equal(died.headers['retry-after'], '1')
    const bytes = randomBytes(100)
    const again = await step(mirror, 'PATCH', location, bytes)
    t.equal(again.status, 202, 'the same session goes on with a new token')
    t.equal((await step(mirror, 'PUT', `${again.location}?digest=${digestOf(bytes)}`)).status, 201)
    t.equal(mirror.ecr.count({ at: 'api' }), 2, 'one renewal')
  }
})

t.test('an upload that ECR fails on in the middle has to be started anew', async t => {
  const mirror = await startMirror(t)
  const location = await start(mirror)
  mirror.ecr.knobs.serverError.UploadLayerPart = 1
  t.equal((await step(mirror, 'PATCH', location, randomBytes(10))).status, 502)
  t.equal((await step(mirror, 'PATCH', location, randomBytes(10))).status, 404)
})

t.test('a mount', async t => {
  const mirror = await startMirror(t, {
    ecr: { knobs: { blobMounting: true } },
    settings: { policy: [{ principals: ['*'], repositories: ['team/**'], actions: ['pull', 'push'] }] },
  })
  const image = await mirror.ecr.putImage('team/base', 'v1')
  await mirror.ecr.putImage('secret/base', 'v1')
  mirror.ecr.createRepository('team/app')
  const layer = JSON.parse(mirror.ecr.manifest('team/base', 'v1')!.bytes.toString()).layers[0].digest
  const mount = (from: string | undefined): Promise<Step> =>
    step(
      mirror,
      'POST',
      `/v2/team/app/blobs/uploads/?mount=${layer}${from === undefined ? '' : `&from=${encodeURIComponent(from)}`}`,
    )

  const notReadable = await mount('secret/base')
  t.equal(notReadable.status, 202, 'from where one may not pull is an ordinary upload')
  t.notMatch(mirror.ecr.requests.at(-1)!.url, /mount|from/, 'and ECR is not even asked')
  t.equal((await mount(undefined)).status, 202, 'without a source too')

  const mounted = await mount('team/base')
  t.equal(mounted.status, 201)
  t.equal(mounted.location, `/v2/team/app/blobs/${layer}`)
  t.equal(mounted.headers.get('docker-content-digest'), layer)
  mirror.ecr.knobs.blobMounting = false
  mirror.ecr.createRepository('team/more')
  const refused = await step(
    mirror,
    'POST',
    `/v2/team/more/blobs/uploads/?mount=${layer}&from=main/team/base`,
  )
  t.equal(refused.status, 202, 'a registry that does not mount begins an upload; no 201 is made of that')
  t.match(
    mirror.ecr.requests.at(-1)!.url,
    /from=team%2Fbase|from=team\/base/,
    'the source has the name that ECR knows',
  )
  t.ok(image)
})

t.test('Locations of ECR: absolute, with a port, relative; and none of another host', async t => {
  for (const location of ['abs', 'abs443', 'rel'] as const) {
    const mirror = await startMirror(t, { ecr: { knobs: { location } } })
    const bytes = randomBytes(100)
    t.equal(
      (await step(mirror, 'PUT', `${await start(mirror)}?digest=${digestOf(bytes)}`, bytes)).status,
      201,
      location,
    )
  }
  const mirror = await startMirror(t)
  mirror.ecr.createRepository('team/app')
  for (const location of [
    'https://evil.example/v2/team/app/blobs/uploads/x',
    '//evil.example/v2/x',
    '/somewhere',
    'https://user@evil/v2/',
    '\\\\evil\\v2\\',
    '',
  ]) {
    mirror.ecr.knobs.answer.InitiateLayerUpload = [{ status: 202, headers: { location } }]
    const answer = await step(mirror, 'POST', '/v2/team/app/blobs/uploads/')
    t.equal(answer.status, 502, location)
    t.notMatch(answer.text, /evil/)
  }
})
