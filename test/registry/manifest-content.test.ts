import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startMirror, authorization, type MirrorUnderTest } from '../support/mirror.js'

const IMAGE = 'application/vnd.oci.image.manifest.v1+json'
const INDEX = 'application/vnd.oci.image.index.v1+json'
const LARGEST = 4 * 1024 * 1024

async function start(t: Test, actions = ['pull', 'push']): Promise<MirrorUnderTest> {
  const directory = await mkdtemp(join(tmpdir(), 'content-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const policy = [{ principals: ['*'], actions }]
  const mirror = await startMirror(t, {
    ecr: { profile: 'spec' },
    settings: { cache: { directory }, policy },
  })
  mirror.ecr.createRepository('team/app')
  return mirror
}

/** Members of objects, as many as fit into a manifest of the largest size. */
const MEMBERS = Buffer.from(
  Array.from({ length: 471_000 }, (_, index) => `,"${index.toString(36)}":0`).join(''),
)

/** A manifest of nearly the largest size with as many members as it has room for. */
function manyKeys(fields = ''): Buffer {
  const head = `{"schemaVersion":2,"mediaType":"${IMAGE}"${fields}`
  const room = LARGEST - head.length - 1
  const members = MEMBERS.subarray(0, MEMBERS.lastIndexOf(',', room))
  return Buffer.concat([Buffer.from(head), members, Buffer.from('}')])
}

function indexOf(digests: readonly string[]): Buffer {
  const manifests = digests.map(digest => ({ mediaType: IMAGE, digest, size: 1 }))
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }))
}

/** Counts how often so many bytes are decoded, which is done once each time that a manifest is read. */
function countReads(t: Test, size: number): () => number {
  let count = 0
  class CountingDecoder extends TextDecoder {
    override decode(bytes?: NodeJS.ArrayBufferView | ArrayBuffer | null): string {
      if (bytes?.byteLength === size) count++
      return super.decode(bytes)
    }
  }
  t.intercept(globalThis, 'TextDecoder', { value: CountingDecoder, writable: true })
  return () => count
}

/** Asks for the index anew, and leaves once the upstream was asked. */
async function askAndLeave(
  { url, ecr }: MirrorUnderTest,
  method: 'HEAD' | 'GET',
  path: string,
): Promise<void> {
  const { hostname, port } = new URL(url)
  const asked = ecr.count({ action: 'BatchGetImage' })
  const socket = connect(Number(port), hostname)
  socket.write(
    `${method} ${path} HTTP/1.1\r\nHost: m\r\nAuthorization: ${authorization}\r\nCache-Control: no-cache\r\n\r\n`,
  )
  await ecr.arrived({ action: 'BatchGetImage' }, asked + 1)
  await ecr.settled()
  socket.destroy()
}

t.test('an index that names one large manifest thousands of times keeps nobody waiting', async t => {
  const mirror = await start(t)
  const { ecr, fetch, app } = mirror
  const layer = await ecr.putBlob('team/app', 'layer')
  const child = ecr.putManifest('team/app', undefined, {
    schemaVersion: 2,
    mediaType: IMAGE,
    config: layer,
    layers: [layer],
    annotations: { padding: 'x'.repeat(LARGEST - 1_000) },
  })
  t.equal((await fetch(`/v2/team/app/manifests/${child.digest}`)).status, 200)
  for (const times of [10_000, 49_000]) {
    const tag = `x${times}`
    const index = Buffer.from(JSON.stringify({ manifests: Array(times).fill({ digest: child.digest }) }))
    ecr.putManifest('team/app', tag, index, { mediaType: INDEX })
    for (const method of ['HEAD', 'GET'] as const)
      await askAndLeave(mirror, method, `/v2/team/app/manifests/${tag}`)
    t.equal((await fetch('/v2/')).status, 200)
    const headers = { 'cache-control': 'no-cache' }
    const head = await fetch(`/v2/team/app/manifests/${tag}`, { method: 'HEAD', headers })
    t.match(head.headers.get('content-length'), String(index.length))
    const got = await fetch(`/v2/team/app/manifests/${tag}`)
    t.ok(Buffer.from(await got.arrayBuffer()).equals(index), 'to the byte')
  }
  await app.close(AbortSignal.timeout(5_000))
})

t.test('an index of thousands of manifests that are known vouches for them, and the mirror ends', async t => {
  const mirror = await start(t)
  const { ecr, fetch, app } = mirror
  const digests: string[] = []
  for (let index = 0; index < 300; index++) {
    const config = await ecr.putBlob('team/app', `config ${index}`)
    const manifest = { schemaVersion: 2, mediaType: IMAGE, config, layers: [] }
    const { digest } = ecr.putManifest('team/app', undefined, manifest)
    await fetch(`/v2/team/app/manifests/${digest}`).then(answer => answer.arrayBuffer())
    digests.push(digest)
  }
  ecr.putManifest('team/app', 'many', indexOf([...digests, ...digests]))
  for (const method of ['HEAD', 'GET'] as const)
    await askAndLeave(mirror, method, '/v2/team/app/manifests/many')
  const headers = { 'cache-control': 'no-cache' }
  t.equal((await fetch('/v2/team/app/manifests/many', { method: 'HEAD', headers })).status, 200)
  await app.close(AbortSignal.timeout(5_000))
})

t.test('a manifest is read once, whoever asks for it and whatever they accept', async t => {
  // A HEAD by a user who may push would be handed to the upstream, unread.
  const { ecr, fetch } = await start(t, ['pull'])
  const bytes = manyKeys()
  const { digest } = ecr.putManifest('team/app', 'keys', bytes)
  const reads = countReads(t, bytes.length)
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, index) =>
      fetch('/v2/team/app/manifests/keys', {
        method: 'HEAD',
        headers: { accept: `${IMAGE}, application/x-${index}` },
      }),
    ),
  )
  for (const answer of answers) t.equal(answer.headers.get('docker-content-digest'), digest)
  t.equal(ecr.count({ action: 'BatchGetImage' }), 8)
  t.equal(reads(), 1)
  const got = await fetch('/v2/team/app/manifests/keys')
  t.ok(Buffer.from(await got.arrayBuffer()).equals(bytes), 'it is passed on to the byte')
  t.equal(reads(), 1)
})

t.test('a manifest is read once when it is pushed, and too much in it is for ECR to judge', async t => {
  const { ecr, fetch } = await start(t)
  const push = (body: Buffer, type = IMAGE) =>
    fetch('/v2/team/app/manifests/pushed', {
      method: 'PUT',
      headers: { 'content-type': type },
      body: new Uint8Array(body),
    })
  const bytes = manyKeys()
  const reads = countReads(t, bytes.length)
  t.equal((await push(bytes)).status, 201)
  t.equal(reads(), 1)
  t.ok(ecr.manifest('team/app', 'pushed')?.bytes.equals(bytes))
  const puts = ecr.count({ action: 'PutImage' })
  for (const unclear of [
    manyKeys(',"layers":[],"layers":[]'),
    manyKeys(',"layers":[],"Layer\\u017f":[]'),
    manyKeys(',"layers":[],"manifests":[]'),
    bytes.subarray(0, -1),
  ]) {
    const answer = await push(unclear)
    t.equal(answer.status, 400)
    t.equal((await answer.json()).errors[0].code, 'MANIFEST_INVALID')
  }
  t.equal((await push(manyKeys(',"layers":[]'), INDEX)).status, 400, 'and under the type of an index')
  t.equal(ecr.count({ action: 'PutImage' }), puts)
})

t.test('what a manifest with too much in it names is not believed to be in its repository', async t => {
  const { ecr, fetch } = await start(t)
  const secret = await ecr.putBlob('secret/app', 'secret')
  await fetch(`/v2/secret/app/blobs/${secret.digest}`).then(answer => answer.arrayBuffer())
  ecr.putManifest('team/app', 'keys', manyKeys(`,"layers":[{"digest":"${secret.digest}"}]`))
  t.equal((await fetch('/v2/team/app/manifests/keys')).status, 200)
  t.equal((await fetch(`/v2/team/app/blobs/${secret.digest}`)).status, 404)
})
