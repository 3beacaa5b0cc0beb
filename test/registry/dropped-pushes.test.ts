import { randomBytes } from 'node:crypto'
import { rm, statfs, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import type { EcrOptions } from '../ecr/ecr.js'
import { mountDirectory, mountTmpfs, noMounts } from '../store/support/mounts.js'
import { authorization } from '../support/mirror.js'
import { digestOf, emptied, pieces, pulled, pulls, startPushing, type Pushing } from '../support/pushing.js'

const MiB = 1024 * 1024
const accessible: EcrOptions = { knobs: { layerInaccessibleUntilTagged: false } }

t.test('of a push with a wrong digest nothing is kept', async t => {
  const mirror = await startPushing(t)
  const [bytes, other] = [randomBytes(6 * MiB), digestOf(Buffer.from('other'))]
  const { location } = await mirror.step('PATCH', await mirror.begin(), bytes)
  t.equal((await mirror.step('PUT', `${location}?digest=${other}`)).status, 400)
  t.equal((await mirror.step('PUT', `${await mirror.begin()}?digest=${other}`, bytes)).status, 400)
  await emptied(t, mirror, 2)
  t.same(await mirror.stored(), [])
})

t.test('an upload that is given up, or whose part is refused, leaves nothing', async t => {
  const mirror = await startPushing(t)
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
  const mirror = await startPushing(t)
  const bytes = randomBytes(4 * MiB)
  await leaveInTheMiddle(mirror, bytes.subarray(0, 2 * MiB))
  await emptied(t, mirror, 1)
  const { location } = await mirror.step('PATCH', await mirror.begin(), bytes)
  t.equal((await mirror.step('PUT', `${location}?digest=${digestOf(bytes)}`)).status, 201)
  await pulls(t, mirror, bytes)
})

t.test('a hundred pushes that broke off take no room', async t => {
  const mirror = await startPushing(t, { cache: { maxSize: '24MiB' }, far: accessible })
  for (let turn = 0; turn < 100; turn++) await leaveInTheMiddle(mirror, randomBytes(MiB))
  await emptied(t, mirror, 100)
  const bytes = randomBytes(23 * MiB)
  await mirror.ecr.putBlob('team/app', bytes)
  t.equal(await pulled(t, mirror, bytes), 'miss', 'a download has room for all of it')
})

t.test('an upload that went on at another replica is not kept where a part is missing', async t => {
  const settings = { uploads: { sessionKey: 'the same key for both' } }
  const first = await startPushing(t, { far: accessible, settings })
  const bytes = randomBytes(12 * MiB)
  const parts = [...pieces(bytes, 5 * MiB)] as [Buffer, Buffer, Buffer]
  await t.test('with the other', async t => {
    const second = await startPushing(t, { ecr: first.ecr, settings })
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

t.test('a second request on an upload in the middle of the first is no part of it', async t => {
  const mirror = await startPushing(t)
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
  const mirror = await startPushing(t, { far: accessible })
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
  const mirror = await startPushing(t, { far: accessible, directory, cache: { minFree: '1MiB' } })
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
  t.equal(await pulled(t, mirror, bytes), 'bypass', 'while the disk is full everything streams')
  await rm(join(directory, 'filler'))
})
