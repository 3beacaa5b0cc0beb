import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { startEcr, type Profile } from '../ecr/ecr.js'
import { mirrorOf, startMirror, type MirrorAnswer, type MirrorUnderTest } from '../support/mirror.js'
import { digestOf } from '../support/pushing.js'

const bytes = randomBytes(3000)
const SETTINGS = { settings: { uploads: { sessionKey: 'k'.repeat(32) } } }

async function begin({ ecr, fetch }: MirrorUnderTest): Promise<string> {
  ecr.createRepository('team/app')
  const begun = await fetch('/v2/team/app/blobs/uploads/', { method: 'POST' })
  return begun.headers.get('location') ?? ''
}

function patch({ fetch }: MirrorUnderTest, location: string, first: number): Promise<MirrorAnswer> {
  return fetch(location, {
    method: 'PATCH',
    body: bytes.subarray(first, first + 1000),
    headers: { 'content-range': `${first}-${first + 999}` },
  })
}

const locationOf = (answer: MirrorAnswer): string => answer.headers.get('location') ?? ''

/** An upload of 2000 bytes, with the session of its first 1000. */
async function behind(mirror: MirrorUnderTest): Promise<{ old: string; current: string }> {
  const old = locationOf(await patch(mirror, await begin(mirror), 0))
  return { old, current: locationOf(await patch(mirror, old, 1000)) }
}

/** Two mirrors with one key, in front of one registry. */
async function replicas(t: Test, profile: Profile): Promise<[MirrorUnderTest, MirrorUnderTest]> {
  const ecr = await startEcr({ profile })
  t.teardown(() => ecr.close())
  return [await mirrorOf(t, ecr, SETTINGS), await mirrorOf(t, ecr, SETTINGS)]
}

t.test('the status of an upload that has moved on is not that of an old session', async t => {
  const mirror = await startMirror(t)
  const { old, current } = await behind(mirror)
  const status = await mirror.fetch(old)
  t.equal(status.status, 404, 'ECR cannot say how far it is')
  t.match(await status.json(), { errors: [{ code: 'BLOB_UPLOAD_UNKNOWN' }] })
  const now = await mirror.fetch(current)
  t.equal(now.status, 204, 'of which nobody has sent more since')
  t.equal(now.headers.get('range'), '0-1999')
})

t.test('a registry that has a status is believed, whatever the session says', async t => {
  const [one, other] = await replicas(t, 'spec')
  const { old } = await behind(one)
  for (const mirror of [one, other]) {
    const status = await mirror.fetch(old)
    t.equal(status.status, 204)
    t.equal(status.headers.get('range'), '0-1999')
    const again = await patch(mirror, old, 1000)
    t.equal(again.status, 416, 'a chunk that is there already')
    t.equal(again.headers.get('range'), '0-1999')
    t.equal((await mirror.fetch(locationOf(again))).headers.get('range'), '0-1999', 'with where to go on')
  }
  const status = await other.fetch(old)
  const last = await patch(other, locationOf(status), 2000)
  t.equal(last.status, 202, 'the status leads on')
  const put = await other.fetch(`${locationOf(last)}?digest=${digestOf(bytes)}`, { method: 'PUT' })
  t.equal(put.status, 201)
  t.same(await one.ecr.blob('team/app', digestOf(bytes))?.bytes(), bytes)
})

t.test('a chunk that was taken and not heard of is refused with where the upload is', async t => {
  const mirror = await startMirror(t, { ecr: { knobs: { minPart: 0 } } })
  const { old } = await behind(mirror)
  const again = await patch(mirror, old, 1000)
  t.equal(again.status, 416)
  t.equal(again.headers.get('range'), '0-1999')
  const last = await patch(mirror, locationOf(again), 2000)
  t.equal(last.status, 202)
  t.equal(last.headers.get('range'), '0-2999')
  const put = await mirror.fetch(`${locationOf(last)}?digest=${digestOf(bytes)}`, { method: 'PUT' })
  t.equal(put.status, 201)
})

t.test('a mirror that did not see an upload go on does not tell how far it is', async t => {
  const [one, other] = await replicas(t, 'ecr')
  const { old, current } = await behind(one)
  for (const location of [old, current]) t.equal((await other.fetch(location)).status, 404)
  const again = await patch(other, old, 1000)
  t.equal(again.status, 404, 'never a 416 without a way on')
  t.match(await again.json(), { errors: [{ code: 'BLOB_UPLOAD_UNKNOWN' }] })
  t.equal((await patch(other, current, 2000)).status, 202, 'but it goes on with a session that is right')
  t.equal((await one.fetch(current, { method: 'DELETE' })).status, 204, 'and anybody may give it up')
})

t.test('nobody tells how far an upload is while a chunk is on its way', async t => {
  const mirror = await startMirror(t)
  const location = await begin(mirror)
  t.equal((await mirror.fetch(location)).status, 204)
  mirror.ecr.knobs.thinking.UploadLayerPart = 2000
  const patched = patch(mirror, location, 0)
  await mirror.ecr.arrived({ method: 'PATCH' })
  t.equal((await mirror.fetch(location)).status, 404)
  t.equal((await mirror.fetch(locationOf(await patched))).status, 204)
})

t.test('a chunk that ECR did not take leaves the upload where it was', async t => {
  const mirror = await startMirror(t)
  const location = await begin(mirror)
  mirror.ecr.knobs.throttle.UploadLayerPart = { next: 1 }
  t.equal((await patch(mirror, location, 0)).status, 429)
  const status = await mirror.fetch(location)
  t.equal(status.status, 204)
  t.equal(status.headers.get('range'), '0-0')
  t.equal((await patch(mirror, location, 0)).status, 202)
})

t.test('an end that ECR refused leaves nothing to ask after', async t => {
  const mirror = await startMirror(t)
  const location = locationOf(await patch(mirror, await begin(mirror), 0))
  const wrong = `${location}?digest=${digestOf(Buffer.from('other'))}`
  t.equal((await mirror.fetch(wrong, { method: 'PUT' })).status, 400)
  t.equal((await mirror.fetch(location)).status, 404)
})

t.test('an upload whose chunks go to two mirrors in turn goes on at either', async t => {
  const [one, other] = await replicas(t, 'spec')
  let location = await begin(one)
  for (const [mirror, first] of [
    [other, 0],
    [one, 1000],
    [other, 2000],
  ] as const) {
    const taken = await patch(mirror, location, first)
    t.equal(taken.status, 202, `the chunk at ${first}`)
    location = locationOf(taken)
  }
  const ended = await one.fetch(`${location}?digest=${digestOf(bytes)}`, { method: 'PUT' })
  t.equal(ended.status, 201)
})
