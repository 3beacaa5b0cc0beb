import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, statfs, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startEcr, type Ecr, type EcrOptions } from '../ecr/ecr.js'
import { mountDirectory, mountTmpfs, noMounts } from '../store/support/mounts.js'
import { authorization, mirrorOf, type MirrorUnderTest } from '../support/mirror.js'
import { ask } from '../support/requests.js'

const MiB = 1024 * 1024
const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

interface Pushing extends MirrorUnderTest {
  /** One request of an upload. */
  readonly step: (method: string, path: string, body?: Buffer | Readable, headers?: object) => Promise<Step>
  /** The Location of a new upload. */
  readonly begin: (repository?: string) => Promise<string>
  /** The files that are on their way in. */
  readonly ingests: () => Promise<string[]>
  /** The files that are stored. */
  readonly stored: () => Promise<string[]>
}

interface Step {
  readonly status: number
  readonly location: string
}

interface StartOptions {
  readonly ecr?: Ecr
  readonly far?: EcrOptions
  readonly directory?: string
  readonly cache?: object
  readonly settings?: object
}

async function start(t: Test, { ecr, far, directory, cache, settings }: StartOptions = {}): Promise<Pushing> {
  const farSide = ecr ?? (await startEcr(far))
  if (!ecr) t.teardown(() => farSide.close())
  const place = directory ?? (await mkdtemp(join(tmpdir(), 'cache-')))
  if (!directory) t.teardown(() => rm(place, { recursive: true, force: true }))
  const mirror = await mirrorOf(t, farSide, {
    settings: { cache: { directory: place, ...cache }, ...settings },
  })
  const step: Pushing['step'] = async (method, path, body, headers = {}) => {
    const answer = await ask(mirror.url + path, {
      method,
      headers: { authorization, ...(Buffer.isBuffer(body) && { 'content-length': body.length }), ...headers },
      ...(body && { body }),
    })
    return { status: answer.status, location: String(answer.headers.location) }
  }
  const ingests = (): Promise<string[]> => readdir(join(place, 'v1/ingest'))
  return {
    ...mirror,
    step,
    async begin(repository = 'team/app') {
      farSide.createRepository(repository)
      return (await step('POST', `/v2/${repository}/blobs/uploads/`)).location
    },
    ingests,
    async stored() {
      const names = await readdir(join(place, 'v1/blobs'), { recursive: true }).catch(() => [])
      return names.filter(name => name.split('/').length === 3)
    },
  }
}

/** Waits for so many captures to be dropped, which happens beside the answer and not before it. */
async function emptied(t: Test, { ingests, log }: Pushing, dropped: number, left = 0): Promise<void> {
  const drops = (): number => log.filter(({ msg }) => msg === 'capture dropped').length
  let names = await ingests()
  for (let tries = 0; tries < 500 && (drops() < dropped || names.length !== left); tries++) {
    await pause(10)
    names = await ingests()
  }
  t.equal(drops(), dropped, 'dropped')
  t.equal(names.length, left, 'on the way in')
}

async function pulls(t: Test, { url, ecr }: Pushing, bytes: Buffer, count = 50): Promise<void> {
  const before = ecr.requests.length
  const answers = await Promise.all(
    Array.from({ length: count }, () =>
      ask(`${url}/v2/team/app/blobs/${digestOf(bytes)}`, { headers: { authorization } }),
    ),
  )
  t.same([...new Set(answers.map(({ status }) => status))], [200])
  t.ok(answers.every(answer => answer.complete && answer.bytes.equals(bytes)))
  t.same([...new Set(answers.map(({ headers }) => headers['x-cache']))], ['hit'])
  t.equal(ecr.requests.length, before, 'neither ECR nor its storage is asked')
}

/** What the next pull comes from. */
async function pulled(t: Test, { fetch }: MirrorUnderTest, bytes: Buffer): Promise<string | null> {
  const answer = await fetch(`/v2/team/app/blobs/${digestOf(bytes)}`)
  t.ok(Buffer.from(await answer.arrayBuffer()).equals(bytes), 'the right bytes')
  return answer.headers.get('x-cache')
}

const smallParts: EcrOptions = { knobs: { minPart: MiB } }
const accessible: EcrOptions = { knobs: { layerInaccessibleUntilTagged: false } }

type Way = (mirror: Pushing, bytes: Buffer) => Promise<number>

/** The ways in which clients push; each gives the status of its last answer. */
const WAYS: Readonly<Record<string, Way>> = {
  'as docker does, in one stream of unknown length': async ({ begin, step }, bytes) => {
    const { location } = await step('PATCH', await begin(), Readable.from(pieces(bytes, 100_000)))
    return (await step('PUT', `${location}?digest=${digestOf(bytes)}`)).status
  },
  'in one PUT': async ({ begin, step }, bytes) =>
    (await step('PUT', `${await begin()}?digest=${digestOf(bytes)}`, bytes)).status,
  'in chunks, the last one with the PUT': async ({ begin, step }, bytes) => {
    let location = await begin()
    const last = Math.floor((bytes.length - 1) / MiB) * MiB
    for (let at = 0; at < last; at += MiB) {
      const headers = { 'content-range': `${at}-${at + MiB - 1}` }
      location = (await step('PATCH', location, bytes.subarray(at, at + MiB), headers)).location
    }
    return (await step('PUT', `${location}?digest=${digestOf(bytes)}`, bytes.subarray(last))).status
  },
}

function* pieces(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

for (const [way, push] of Object.entries(WAYS)) {
  t.test(`what was pushed ${way} is pulled from the disk, from the moment it is there`, async t => {
    const mirror = await start(t, { far: smallParts })
    const bytes = randomBytes(5 * MiB + 5)
    t.equal(await push(mirror, bytes), 201)
    await pulls(t, mirror, bytes)
    t.same(await mirror.ingests(), [])
    t.match(
      mirror.log.filter(({ msg }) => msg === 'captured'),
      [{ digest: digestOf(bytes), size: bytes.length }],
    )
    t.equal(
      (await mirror.fetch(`/v2/team/other/blobs/${digestOf(bytes)}`)).status,
      404,
      'for this repository',
    )
  })
}

t.test('what was pushed with one POST is pulled from the disk', async t => {
  const mirror = await start(t, { far: { profile: 'spec' } })
  const bytes = randomBytes(3 * MiB)
  const { status } = await mirror.step('POST', `/v2/team/app/blobs/uploads/?digest=${digestOf(bytes)}`, bytes)
  t.equal(status, 201)
  await pulls(t, mirror, bytes)
})

t.test('a POST whose blob ECR does not take begins an upload, and nothing is kept of it', async t => {
  const mirror = await start(t)
  mirror.ecr.createRepository('team/app')
  const bytes = randomBytes(MiB)
  const path = `/v2/team/app/blobs/uploads/?digest=${digestOf(bytes)}`
  const { status, location } = await mirror.step('POST', path, bytes)
  t.equal(status, 202)
  await emptied(t, mirror, 1)
  t.equal((await mirror.step('PUT', `${location}?digest=${digestOf(bytes)}`, bytes)).status, 201)
  await pulls(t, mirror, bytes)
})

t.test('an empty blob', async t => {
  const mirror = await start(t)
  const nothing = Buffer.alloc(0)
  t.equal((await mirror.step('PUT', `${await mirror.begin()}?digest=${digestOf(nothing)}`)).status, 201)
  await pulls(t, mirror, nothing, 1)
})

t.test('of a push with a wrong digest nothing is kept', async t => {
  const mirror = await start(t)
  const [bytes, other] = [randomBytes(6 * MiB), digestOf(Buffer.from('other'))]
  const { location } = await mirror.step('PATCH', await mirror.begin(), bytes)
  t.equal((await mirror.step('PUT', `${location}?digest=${other}`)).status, 400)
  t.equal((await mirror.step('PUT', `${await mirror.begin()}?digest=${other}`, bytes)).status, 400)
  await emptied(t, mirror, 2)
  t.same(await mirror.stored(), [])
})

t.test('an upload that is given up, or whose part is refused, leaves nothing', async t => {
  const mirror = await start(t)
  const { location } = await mirror.step('PATCH', await mirror.begin(), randomBytes(6 * MiB))
  t.equal((await mirror.ingests()).length, 1)
  t.equal((await mirror.step('DELETE', location)).status, 204)
  await emptied(t, mirror, 1)
  const second = await mirror.begin()
  mirror.ecr.knobs.iamDenied.UploadLayerPart = true
  t.equal((await mirror.step('PATCH', second, randomBytes(MiB))).status, 403)
  await emptied(t, mirror, 2)
})

/** Begins a PATCH, and leaves once so many bytes of it are at ECR. */
async function leaveInTheMiddle({ url, begin, ecr }: Pushing, bytes: Buffer): Promise<void> {
  const { hostname, port } = new URL(url)
  const location = await begin()
  const before = ecr.requests.length
  const socket = connect(Number(port), hostname)
  socket.on('error', () => undefined)
  socket.write(
    `PATCH ${location} HTTP/1.1\r\nHost: m\r\nAuthorization: ${authorization}\r\nContent-Length: 9000000\r\n\r\n`,
  )
  socket.write(bytes)
  while (!ecr.requests.slice(before).some(({ method, bodyBytes }) => method === 'PATCH' && bodyBytes > 0))
    await pause(5)
  socket.destroy()
}

t.test('a push that broke off and began anew is kept as it came the second time', async t => {
  const mirror = await start(t)
  const bytes = randomBytes(4 * MiB)
  await leaveInTheMiddle(mirror, bytes.subarray(0, 2 * MiB))
  await emptied(t, mirror, 1)
  const { location } = await mirror.step('PATCH', await mirror.begin(), bytes)
  t.equal((await mirror.step('PUT', `${location}?digest=${digestOf(bytes)}`)).status, 201)
  await pulls(t, mirror, bytes)
})

t.test('a hundred pushes that broke off take no room', async t => {
  const mirror = await start(t, { cache: { maxSize: '24MiB' }, far: accessible })
  for (let turn = 0; turn < 100; turn++) await leaveInTheMiddle(mirror, randomBytes(MiB))
  await emptied(t, mirror, 100)
  const bytes = randomBytes(23 * MiB)
  await mirror.ecr.putBlob('team/app', bytes)
  t.equal(await pulled(t, mirror, bytes), 'miss')
  t.equal(await pulled(t, mirror, bytes), 'hit', 'there is room for all of it')
})

t.test('an upload that went on at another replica is not kept where a part is missing', async t => {
  const settings = { uploads: { sessionKey: 'the same key for both' } }
  const first = await start(t, { far: accessible, settings })
  const bytes = randomBytes(12 * MiB)
  const parts = [...pieces(bytes, 5 * MiB)] as [Buffer, Buffer, Buffer]
  await t.test('with the other', async t => {
    const second = await start(t, { ecr: first.ecr, settings })
    const one = await first.step('PATCH', await first.begin(), parts[0])
    const two = await second.step('PATCH', one.location, parts[1])
    const done = await first.step('PUT', `${two.location}?digest=${digestOf(bytes)}`, parts[2])
    t.equal(done.status, 201)
    await emptied(t, first, 1)
    for (const mirror of [first, second]) {
      t.same(await mirror.stored(), [])
      t.equal(await pulled(t, mirror, bytes), 'miss')
    }
    const whole = randomBytes(MiB)
    const began = await first.begin()
    t.equal((await second.step('PUT', `${began}?digest=${digestOf(whole)}`, whole)).status, 201)
    await pulls(t, second, whole, 1)
  })
})

t.test('three pushes of one layer at once are stored once, and rightly', async t => {
  const mirror = await start(t, { far: smallParts })
  const bytes = randomBytes(5 * MiB + 5)
  const [docker, put, chunks] = Object.values(WAYS) as [Way, Way, Way]
  const statuses = await Promise.all([docker, put, chunks].map(push => push(mirror, bytes)))
  t.same(statuses, [201, 201, 201])
  await pulls(t, mirror, bytes)
  await emptied(t, mirror, 2)
  t.equal((await mirror.stored()).length, 1)
  t.equal(mirror.log.filter(({ msg }) => msg === 'captured').length, 1)
})

t.test('a second request on an upload in the middle of the first is no part of it', async t => {
  const mirror = await start(t)
  const bytes = randomBytes(6 * MiB)
  const location = await mirror.begin()
  const slow = new Readable({ read: () => undefined })
  slow.push(bytes.subarray(0, MiB))
  const first = mirror.step('PATCH', location, slow)
  await mirror.ecr.arrived({ method: 'PATCH' })
  t.equal((await mirror.step('PATCH', location, randomBytes(MiB))).status, 416, 'ECR has it busy')
  slow.push(bytes.subarray(MiB))
  slow.push(null)
  const patched = await first
  t.equal((await mirror.step('PUT', `${patched.location}?digest=${digestOf(bytes)}`)).status, 201)
  await pulls(t, mirror, bytes, 1)
  await emptied(t, mirror, 1)
})

t.test('sixty-four uploads may pause at a time, and the newest do', async t => {
  const mirror = await start(t, { far: accessible })
  const paused: { bytes: Buffer; location: string }[] = []
  for (let count = 0; count < 66; count++) {
    const bytes = randomBytes(1000)
    paused.push({ bytes, location: (await mirror.step('PATCH', await mirror.begin(), bytes)).location })
  }
  await emptied(t, mirror, 2, 64)
  const results: (string | null)[] = []
  for (const { bytes, location } of [...paused.slice(0, 3), ...paused.slice(-1)]) {
    t.equal((await mirror.step('PUT', `${location}?digest=${digestOf(bytes)}`)).status, 201)
    results.push(await pulled(t, mirror, bytes))
  }
  t.same(results, ['miss', 'miss', 'hit', 'hit'])
  await mirror.app.close()
  t.same(await mirror.ingests(), [], 'an end of the mirror ends them all')
})

t.test('a disk that fills up under a push fails nobody', { skip: noMounts }, async t => {
  const { directory } = mountTmpfs(t, join(mountDirectory(t), 'disk'), '64m')
  const mirror = await start(t, { far: accessible, directory, cache: { minFree: '1MiB' } })
  const bytes = randomBytes(40 * MiB)
  const body = new Readable({ read: () => undefined })
  body.push(bytes.subarray(0, 10 * MiB))
  const patching = mirror.step('PATCH', await mirror.begin(), body)
  while (!mirror.ecr.requests.some(({ method, bodyBytes }) => method === 'PATCH' && bodyBytes === 10 * MiB))
    await pause(10)
  const { bavail, bsize } = await statfs(directory)
  await writeFile(join(directory, 'filler'), Buffer.alloc(bavail * bsize)).catch(() => undefined)
  body.push(bytes.subarray(10 * MiB))
  body.push(null)
  const patched = await patching
  t.equal(patched.status, 202)
  t.equal((await mirror.step('PUT', `${patched.location}?digest=${digestOf(bytes)}`)).status, 201)
  await emptied(t, mirror, 1)
  t.same(await mirror.stored(), [])
  t.match(
    mirror.log.find(({ msg }) => msg === 'capture dropped'),
    { level: 40, error: /ENOSPC/ },
    'the trouble was real, and is said',
  )
  await rm(join(directory, 'filler'))
  t.equal(await pulled(t, mirror, bytes), 'bypass', 'while the disk is left alone everything streams')
})
