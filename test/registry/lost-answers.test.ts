import { randomBytes } from 'node:crypto'
import t from 'tap'
import { startMirror, type MirrorAnswer, type MirrorUnderTest } from '../support/mirror.js'
import { digestOf } from '../support/pushing.js'

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const bytes = randomBytes(2000)
const digest = digestOf(bytes)

async function begin({ ecr, fetch }: MirrorUnderTest): Promise<string> {
  ecr.createRepository('team/app')
  const begun = await fetch('/v2/team/app/blobs/uploads/', { method: 'POST' })
  return begun.headers.get('location') ?? ''
}

async function patched(mirror: MirrorUnderTest): Promise<string> {
  const answer = await mirror.fetch(await begin(mirror), { method: 'PATCH', body: bytes })
  return answer.headers.get('location') ?? ''
}

/** A manifest that can be pushed to team/app, each time another. */
async function manifest({ ecr }: MirrorUnderTest): Promise<Buffer<ArrayBuffer>> {
  const config = await ecr.putBlob('team/app', randomBytes(10))
  const described = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config.digest, size: 10 }
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: described, layers: [] }))
}

function push(
  { fetch }: MirrorUnderTest,
  reference: string,
  body: Buffer<ArrayBuffer>,
): Promise<MirrorAnswer> {
  return fetch(`/v2/team/app/manifests/${reference}`, {
    method: 'PUT',
    body,
    headers: { 'content-type': MANIFEST },
  })
}

const DELETING = { settings: { policy: [{ principals: ['*'], actions: ['pull', 'push', 'delete'] }] } }

t.test('a manifest whose answer was lost is taken, though its tag is immutable', async t => {
  const mirror = await startMirror(t, { ecr: { knobs: { immutableTags: true } } })
  const wanted = await manifest(mirror)
  for (const lost of [1, 2, 3]) {
    mirror.ecr.knobs.loseAnswer.PutImage = lost
    const answer = await push(mirror, `v${lost}`, wanted)
    t.equal(answer.status, 201, `${lost} answers lost`)
    t.equal(answer.headers.get('docker-content-digest'), digestOf(wanted))
    t.equal(answer.headers.get('location'), `/v2/team/app/manifests/${digestOf(wanted)}`)
  }
  mirror.ecr.knobs.loseAnswer.PutImage = 3
  const other = await manifest(mirror)
  t.equal((await push(mirror, digestOf(other), other)).status, 201, 'by digest too')
})

t.test('a manifest that ECR refuses stays refused after a lost try', async t => {
  const mirror = await startMirror(t, { ecr: { knobs: { immutableTags: true } } })
  const [first, second] = [await manifest(mirror), await manifest(mirror)]
  t.equal((await push(mirror, 'v1', first)).status, 201)
  mirror.ecr.knobs.loseAnswer.PutImage = 1
  const refused = await push(mirror, 'v1', second)
  t.equal(refused.status, 400)
  t.match(await refused.json(), { errors: [{ code: 'TAG_INVALID', message: /already exists/ }] })
  mirror.ecr.knobs.resetConnection.PutImage = 1
  t.equal((await push(mirror, 'v1', second)).status, 400)
  const asked = mirror.ecr.count({ method: 'HEAD' })
  t.equal((await push(mirror, 'v1', first)).status, 400, 'and a plain refusal is passed on')
  t.equal(mirror.ecr.count({ method: 'HEAD' }), asked, 'unasked')
})

t.test('a manifest that ECR fails on is taken only if ECR has it', async t => {
  const mirror = await startMirror(t)
  const wanted = await manifest(mirror)
  mirror.ecr.knobs.serverError.PutImage = 1
  t.equal((await push(mirror, 'v1', wanted)).status, 502)
  t.equal((await push(mirror, 'v1', wanted)).status, 201)
  mirror.ecr.knobs.serverError.PutImage = 1
  t.equal((await push(mirror, 'v1', wanted)).status, 201, 'what is there is there')
})

t.test('every tag of a push by digest is looked for', async t => {
  const mirror = await startMirror(t, { ecr: { profile: 'spec' } })
  const wanted = await manifest(mirror)
  const path = `${digestOf(wanted)}?tag=a&tag=b`
  mirror.ecr.knobs.loseAnswer.PutImage = 3
  const answer = await push(mirror, path, wanted)
  t.equal(answer.status, 201)
  t.equal(answer.headers.get('oci-tag'), 'a, b')
  mirror.ecr.knobs.tagParameters = false
  mirror.ecr.knobs.loseAnswer.PutImage = 3
  t.equal((await push(mirror, `${digestOf(wanted)}?tag=c`, wanted)).status, 502, 'one that is not there')
})

t.test('a deletion whose answer was lost is one', async t => {
  const mirror = await startMirror(t, DELETING)
  for (const lost of [1, 2, 3])
    for (const by of ['tag', 'digest'] as const) {
      const image = await mirror.ecr.putImage('team/app', 'v1')
      mirror.ecr.knobs.loseAnswer.BatchDeleteImage = lost
      const reference = by === 'tag' ? 'v1' : image.digest
      const answer = await mirror.fetch(`/v2/team/app/manifests/${reference}`, { method: 'DELETE' })
      t.equal(answer.status, 202, `by ${by}, ${lost} answers lost`)
      t.same(mirror.ecr.tags('team/app'), [])
    }
  t.equal((await mirror.fetch('/v2/team/app/manifests/v1', { method: 'DELETE' })).status, 404)
  mirror.ecr.knobs.throttle.BatchDeleteImage = { next: 1 }
  const throttled = await mirror.fetch('/v2/team/app/manifests/v1', { method: 'DELETE' })
  t.equal(throttled.status, 404, 'a 429 deleted nothing')
})

t.test('a deletion of a blob whose answer was lost is one', async t => {
  const mirror = await startMirror(t, { ...DELETING, ecr: { profile: 'spec' } })
  const blob = await mirror.ecr.putBlob('team/app', bytes)
  mirror.ecr.knobs.loseAnswer.DeleteBlob = 1
  t.equal((await mirror.fetch(`/v2/team/app/blobs/${blob.digest}`, { method: 'DELETE' })).status, 202)
  t.equal((await mirror.fetch(`/v2/team/app/blobs/${blob.digest}`, { method: 'DELETE' })).status, 404)
})

t.test('an upload whose end was carried out and not answered is there', async t => {
  for (const lost of [1, 3]) {
    const mirror = await startMirror(t)
    const location = await patched(mirror)
    mirror.ecr.knobs.loseAnswer.CompleteLayerUpload = lost
    const ended = await mirror.fetch(`${location}?digest=${digest}`, { method: 'PUT' })
    t.equal(ended.status, 201, `${lost} answers lost`)
    t.equal(ended.headers.get('location'), `/v2/team/app/blobs/${digest}`)
  }
  const mirror = await startMirror(t)
  const location = await begin(mirror)
  mirror.ecr.knobs.loseAnswer.CompleteLayerUpload = 1
  const whole = await mirror.fetch(`${location}?digest=${digest}`, { method: 'PUT', body: bytes })
  t.equal(whole.status, 201, 'with a body, which cannot be sent again')
  t.equal(mirror.ecr.count({ method: 'PUT' }), 1)
  mirror.ecr.knobs.singlePost = true
  mirror.ecr.createRepository('team/app')
  mirror.ecr.knobs.loseAnswer.InitiateLayerUpload = 1
  const post = await mirror.fetch(`/v2/team/app/blobs/uploads/?digest=${digest}`, {
    method: 'POST',
    body: bytes,
  })
  t.equal(post.status, 201, 'in one POST')
})

t.test('an end that was not carried out is no success', async t => {
  const mirror = await startMirror(t)
  const location = await begin(mirror)
  mirror.ecr.knobs.resetConnection.CompleteLayerUpload = 1
  const ended = await mirror.fetch(`${location}?digest=${digest}`, { method: 'PUT', body: bytes })
  t.equal(ended.status, 502)
  t.equal(mirror.ecr.blob('team/app', digest), undefined)
  const again = await mirror.fetch(`${location}?digest=${digest}`, { method: 'PUT', body: bytes })
  t.equal(again.status, 404, 'the client begins anew')
})

t.test("a client's own second end of an upload that ended is told of the blob", async t => {
  const mirror = await startMirror(t, { settings: { uploads: { sessionKey: 'k'.repeat(32) } } })
  const location = await patched(mirror)
  const end = (body?: Buffer<ArrayBuffer>, of = digest): Promise<MirrorAnswer> =>
    mirror.fetch(`${location}?digest=${of}`, { method: 'PUT', ...(body && { body }) })
  t.equal((await end()).status, 201)
  t.equal((await end()).status, 201)
  t.equal((await end(bytes)).status, 201)
  t.equal(mirror.ecr.count({ method: 'PUT' }), 1, 'nothing is sent again')
  t.equal((await end(undefined, digestOf(Buffer.from('other')))).status, 404, 'not of another digest')
  t.equal((await mirror.fetch(location)).status, 404, 'there is nothing left to ask after')
})

t.test('an upload whose client left during its end is there for the next try', async t => {
  const mirror = await startMirror(t)
  const location = await begin(mirror)
  mirror.ecr.knobs.thinking.CompleteLayerUpload = 1000
  const leaving = new AbortController()
  const left = mirror
    .fetch(`${location}?digest=${digest}`, { method: 'PUT', body: bytes, signal: leaving.signal })
    .catch(() => 'left')
  await mirror.ecr.arrived(({ method, bodyBytes }) => method === 'PUT' && bodyBytes === bytes.length)
  leaving.abort()
  t.equal(await left, 'left')
  await mirror.ecr.arrived(({ method, aborted }) => method === 'PUT' && aborted)
  while (!mirror.ecr.blob('team/app', digest)) await new Promise(resolve => setTimeout(resolve, 20))
  const again = await mirror.fetch(`${location}?digest=${digest}`, { method: 'PUT', body: bytes })
  t.equal(again.status, 201)
})

t.test('a repository whose creation was not answered is there', async t => {
  const mirror = await startMirror(t, { upstream: { createRepositories: { match: ['**'] } } })
  mirror.ecr.knobs.loseAnswer.CreateRepository = 1
  t.equal((await mirror.fetch('/v2/team/new/blobs/uploads/', { method: 'POST' })).status, 202)
})

t.test('an upload that was begun and not answered is begun again', async t => {
  const mirror = await startMirror(t)
  mirror.ecr.createRepository('team/app')
  mirror.ecr.knobs.loseAnswer.InitiateLayerUpload = 1
  t.equal((await mirror.fetch('/v2/team/app/blobs/uploads/', { method: 'POST' })).status, 202)
})
