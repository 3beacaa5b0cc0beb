import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CacheTrouble, type BlobStore } from '../../src/store/blob-store.js'
import { Capture } from '../../src/store/capture.js'
import { openDiskStore, type DiskStore } from '../../src/store/disk-store.js'
import { DigestMismatch } from '../../src/store/lease.js'
import { blobOf, fetchFrom, listed, putAll } from './support/blobs.js'
import { FakeClock, settled } from './support/fake-clock.js'
import { MemoryStore } from './support/memory-store.js'
import { mountTmpfs, mountDirectory, noMounts } from './support/mounts.js'

const KiB = 1024
const MiB = 1024 * KiB
const blob = blobOf('pushed', 3 * MiB + 17)
const broken = new Error('The push broke off.')

interface Stand<S extends BlobStore> {
  readonly store: S
  readonly clock: FakeClock
  readonly capture: Capture
  readonly drops: Error[]
}

function standOn<S extends BlobStore>(store: S): Stand<S> {
  const clock = new FakeClock()
  const drops: Error[] = []
  return {
    store,
    clock,
    drops,
    capture: new Capture({ store, clock, onDropped: error => drops.push(error) }),
  }
}

const stand = (): Stand<MemoryStore> => standOn(new MemoryStore())

async function onDisk(t: Test): Promise<Stand<DiskStore> & { readonly directory: string }> {
  const directory = t.testdir()
  const store = await openDiskStore({ directory, maxSize: 1 << 30, minFree: { bytes: 0 } })
  t.teardown(() => store.close())
  return { directory, ...standOn(store) }
}

/** Gives the bytes as a connection does, and waits when it is told to. */
async function push(capture: Capture, bytes: Buffer, size = 64 * KiB): Promise<void> {
  for (let at = 0; at < bytes.length; at += size) await capture.write(bytes.subarray(at, at + size))
}

/** Gives chunks of 64 KiB until it is told to wait. */
function fillUp(capture: Capture): { readonly given: number; readonly wait: Promise<void> } {
  for (let at = 0; ; at += 64 * KiB) {
    const wait = capture.write(blob.bytes.subarray(at, at + 64 * KiB))
    if (wait) return { given: at + 64 * KiB, wait }
  }
}

/** Whether a promise has resolved by now. */
async function isOver(promise: Promise<unknown>): Promise<boolean> {
  let over = false
  void promise.then(() => (over = true))
  await settled()
  return over
}

t.test('what was given is stored under its digest, and nothing is left beside it', async t => {
  const { store, capture, drops, clock, directory } = await onDisk(t)
  await push(capture, blob.bytes)
  t.equal(capture.bytes, blob.bytes.length)
  t.equal(await capture.finish(blob.digest), true)
  t.same(await fetchFrom(store, blob.digest), blob.bytes)
  const opened = await store.open(blob.digest)
  t.equal(opened?.verified, true, 'and need not be hashed again')
  opened?.release()
  await capture.discard(broken)
  t.same(await listed(store), [blob.digest], 'discarding it afterwards does nothing')
  t.same(readdirSync(join(directory, 'v1/ingest')), [])
  t.equal((await store.stats()).reservedBytes, 0)
  t.same(drops, [])
  t.equal(clock.pending, 0)
})

t.test('nothing given is the empty blob', async t => {
  const { store, capture } = stand()
  const empty = blobOf('empty', 0)
  t.equal(await capture.finish(empty.digest), true)
  t.same(await fetchFrom(store, empty.digest), empty.bytes)
})

t.test('bytes with another digest are not stored', async t => {
  const { store, capture, drops, directory } = await onDisk(t)
  await push(capture, blob.bytes)
  t.equal(await capture.finish(blobOf('other', 10).digest), false)
  t.match(drops, [DigestMismatch])
  t.equal(drops.length, 1)
  t.same(await listed(store), [])
  t.same(readdirSync(join(directory, 'v1/ingest')), [])
  t.equal((await store.stats()).reservedBytes, 0)
})

t.test('small chunks are written together, half a MiB at most, in their order', async t => {
  const { store, capture } = stand()
  const sizes: number[] = []
  store.onWrite = bytes => sizes.push(bytes.length)
  let go: () => void = () => undefined
  store.beforeWrite = () => (sizes.length > 0 ? Promise.resolve() : new Promise(resolve => (go = resolve)))
  const some = blob.bytes.subarray(0, MiB)
  for (let at = 0; at < some.length; at += 4000) {
    t.equal(capture.write(some.subarray(at, at + 4000)), undefined)
  }
  await settled()
  go()
  t.equal(await capture.finish(blobOf('pushed', MiB).digest), true)
  t.ok(sizes.length < 6, `${sizes.length} writes`)
  t.ok(sizes.every(size => size <= 512 * KiB))
})

t.test('a chunk larger than all bounds is written as it is', async t => {
  const { store, capture } = stand()
  await capture.write(blob.bytes)
  t.equal(await capture.finish(blob.digest), true)
  t.same(await fetchFrom(store, blob.digest), blob.bytes)
})

t.test('when more than a MiB is queued, who gives has to wait until there is room', async t => {
  const { store, capture, clock } = stand()
  const goes: (() => void)[] = []
  store.beforeWrite = () => new Promise(resolve => goes.push(resolve))
  const { given, wait } = fillUp(capture)
  t.equal(given, MiB + 64 * KiB)
  t.equal(await isOver(wait), false)
  goes.shift()?.()
  t.equal(await isOver(wait), true)
  t.equal(clock.pending, 0)
  t.notOk(capture.write(Buffer.alloc(1)), 'and goes on')
  store.beforeWrite = async () => undefined
  await capture.discard(broken)
})

t.test('many tiny chunks count as much, since each takes memory of its own', async t => {
  const { store, capture } = stand()
  store.beforeWrite = () => new Promise(() => undefined)
  let [given, wait]: [number, Promise<void> | undefined] = [0, undefined]
  while (!wait && given < 5000) {
    wait = capture.write(Buffer.alloc(1))
    given++
  }
  t.ok(wait && given < 1100, `after ${given}`)
  await capture.discard(broken)
  await wait
})

t.test(
  'a store that hangs holds nobody up for longer than half a second and a tenth of the time',
  async t => {
    const { store, capture, clock, drops } = stand()
    store.beforeWrite = () => new Promise(() => undefined)
    const { wait, given } = fillUp(capture)
    await clock.advance(555)
    t.equal(await isOver(wait), false)
    await clock.advance(1)
    t.equal(await isOver(wait), true, 'the push goes on')
    t.match(drops, [{ name: 'CacheTrouble', code: 'ETIMEDOUT' }])
    t.equal(store.ingests, 0, 'what was written is gone')
    t.equal(capture.write(blob.bytes), undefined, 'and no more is taken')
    t.equal(capture.bytes, given)
    t.equal(await capture.finish(blob.digest), false)
    t.equal(drops.length, 1)
    t.equal(clock.pending, 0)
  },
)

t.test('all waiting counts, and a longer push may be held up longer', async t => {
  const { store, capture, clock, drops } = stand()
  const goes: (() => void)[] = []
  store.beforeWrite = () => new Promise(resolve => goes.push(resolve))
  const waitFor = async (ms: number): Promise<void> => {
    const { wait } = fillUp(capture)
    await clock.advance(ms)
    // Until nothing is queued any more.
    for (let idle = 0; idle < 2; idle++) {
      await settled()
      for (const go of goes.splice(0)) {
        idle = 0
        go()
      }
    }
    await wait
  }
  await clock.advance(1000)
  await waitFor(400)
  t.same(drops, [], '400 of 640')
  await waitFor(250)
  t.same(drops, [], '650 of 665')
  await clock.advance(10_000)
  await waitFor(1000)
  t.same(drops, [], '1650 of 1765')
  const { wait } = fillUp(capture)
  await clock.advance(127)
  t.equal(await isOver(wait), false)
  await clock.advance(2)
  t.equal(await isOver(wait), true)
  t.equal(drops.length, 1, '1778 would be the limit')
})

t.test('a single wait is never longer than five seconds, however long the push takes', async t => {
  const { store, capture, clock, drops } = stand()
  await clock.advance(3_600_000)
  store.beforeWrite = () => new Promise(() => undefined)
  const { wait } = fillUp(capture)
  await clock.advance(4999)
  t.equal(await isOver(wait), false)
  await clock.advance(1)
  t.equal(await isOver(wait), true)
  t.equal(drops.length, 1)
})

for (const operation of ['ingest', 'write', 'read', 'commit'] as const) {
  t.test(`trouble with ${operation} is nobody's but its own`, async t => {
    const { store, capture, clock, drops } = stand()
    store.failing.add(operation)
    await push(capture, blob.bytes)
    t.equal(await capture.finish(blob.digest), false)
    t.match(drops, [CacheTrouble])
    t.equal(drops.length, 1)
    t.equal(store.ingests, 0)
    t.equal(store.held, 0)
    t.equal(clock.pending, 0)
    t.same(await listed(store), [])
  })
}

t.test('it can be discarded at any moment, and leaves nothing', async t => {
  const { store, directory } = await onDisk(t)
  const before: ((capture: Capture) => unknown)[] = [
    () => undefined,
    capture => capture.write(blob.bytes),
    capture => push(capture, blob.bytes.subarray(0, 100_000)),
    capture => push(capture, blob.bytes),
  ]
  let stored = 0
  for (let turn = 0; turn < 100; turn++) {
    const { capture, drops } = standOn(store)
    await before[turn % before.length]?.(capture)
    const finished = turn % 3 === 0 ? capture.finish(blob.digest) : undefined
    if (turn % 5 === 0) await new Promise(resolve => setTimeout(resolve, turn / 5))
    await capture.discard(broken)
    const kept = (await finished) === true
    if (kept) stored++
    t.equal(drops.length, kept ? 0 : 1)
    t.equal(await capture.finish(blob.digest), false)
  }
  t.same(readdirSync(join(directory, 'v1/ingest')), [])
  const { reservedBytes, writeErrors } = await store.stats()
  t.same({ reservedBytes, writeErrors }, { reservedBytes: 0, writeErrors: 0 })
  t.ok(stored < 34)
})

t.test(
  'a disk that fills up ends the capture, and takes nothing from what is stored',
  { skip: noMounts },
  async t => {
    const { directory } = mountTmpfs(t, join(mountDirectory(t), 'disk'), '3m')
    mkdirSync(join(directory, 'cache'))
    const store = await openDiskStore({
      directory: join(directory, 'cache'),
      maxSize: 1 << 30,
      minFree: { bytes: 0 },
    })
    t.teardown(() => store.close())
    const kept = blobOf('kept', 100_000)
    await putAll(store, kept)
    const held = await store.open(kept.digest)
    const { capture, drops } = standOn(store)
    await push(capture, blob.bytes)
    t.equal(await capture.finish(blob.digest), false)
    t.match(drops, [{ name: 'CacheTrouble' }])
    t.same(readdirSync(join(directory, 'cache/v1/ingest')), [])
    t.equal((await store.stats()).reservedBytes, 0)
    held?.release()
    t.same(await fetchFrom(store, kept.digest), kept.bytes)
  },
)
