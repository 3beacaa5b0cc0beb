import t from 'tap'
import { createBlobCache } from '../../src/store/blob-cache.js'
import { CacheTrouble } from '../../src/store/blob-store.js'
import { SmallBlobs } from '../../src/store/small-blobs.js'
import { blobStoreConformance } from './conformance.js'
import { blobOf, fetchFrom, put, putAll, readAll } from './support/blobs.js'
import { MemorySource } from './support/memory-source.js'
import { MemoryStore } from './support/memory-store.js'
import { openStore } from './support/open-store.js'
import { never, readAll as readLease } from './support/reading.js'

const small = blobOf('small', 1000)
const MINUTE = 60_000

t.test('a disk with the small blobs in memory is a blob store', t => {
  blobStoreConformance(t, async t => {
    const disk = await openStore(t, t.testdir())
    return new SmallBlobs(disk, { maxSize: 1024 * 1024 })
  })
  t.end()
})

t.test('a small blob is read once a minute, whole and with its digest, by however many', async t => {
  const disk = new MemoryStore()
  let now = 1000
  const store = new SmallBlobs(disk, { clock: () => now })
  await putAll(store, small)
  t.equal(store.held(small.digest), undefined, 'nobody wanted it yet')
  t.same(await fetchFrom(store, small.digest), small.bytes)
  t.same(store.held(small.digest), small.bytes)
  const { reads } = disk
  const blob = await store.open(small.digest)
  t.same(blob && (await readAll(blob, 300)), small.bytes, 'at any position')
  t.equal(blob?.verified, true)
  blob?.release()
  t.equal(disk.reads, reads)
  t.equal(disk.held, 0)

  now += MINUTE + 1
  t.equal(store.held(small.digest), undefined)
  t.same(await fetchFrom(store, small.digest), small.bytes)
  t.ok(disk.reads > reads, 'which counts as its use there')
})

t.test('who looks without using it is shown the disk', async t => {
  const disk = new MemoryStore()
  const store = new SmallBlobs(disk)
  await putAll(store, small)
  await fetchFrom(store, small.digest)
  disk.blobs.clear()
  t.same(await fetchFrom(store, small.digest), small.bytes)
  t.equal(await store.open(small.digest, { use: false }), undefined)
})

t.test('what is larger is not in memory, and all of it has a bound', async t => {
  const store = new SmallBlobs(new MemoryStore(), { maxSize: 1000, maxMemory: 3000 })
  const blobs = [1, 2, 3].map(seed => blobOf(seed, 1000))
  const larger = blobOf('larger', 1001)
  await putAll(store, larger, ...blobs)
  for (const { digest, bytes } of [larger, ...blobs]) t.same(await fetchFrom(store, digest), bytes)
  t.same(
    [larger, ...blobs].map(({ digest }) => store.held(digest)?.length),
    [undefined, undefined, 1000, 1000],
    'the least recently used makes room',
  )
})

for (const how of ['remove', 'setAside'] as const) {
  t.test(`what is read while it is dropped (${how}) does not stay`, async t => {
    const disk = new MemoryStore()
    const store = new SmallBlobs(disk)
    await putAll(store, small)
    let dropped: Promise<boolean> | undefined
    disk.beforeRead = async () => {
      dropped ??= store[how](small.digest)
      await dropped
    }
    t.same(await fetchFrom(store, small.digest), small.bytes, 'who holds it keeps it')
    t.equal(await dropped, true)
    t.equal(store.held(small.digest), undefined)
    t.equal(await store.open(small.digest), undefined)
  })
}

t.test('what begins to be read before its removal has ended does not stay either', async t => {
  const disk = new MemoryStore()
  const remove = disk.remove.bind(disk)
  const store = new SmallBlobs(disk)
  await putAll(store, small)
  disk.remove = async digest => {
    await fetchFrom(store, small.digest)
    return remove(digest)
  }
  t.equal(await store.remove(small.digest), true)
  t.equal(store.held(small.digest), undefined)
})

t.test('bytes that are not those of the digest are never in memory', async t => {
  const disk = new MemoryStore()
  const store = new SmallBlobs(disk)
  const bad = { bytes: Buffer.from('bad'), verified: false }
  disk.blobs.set(small.digest, bad)
  const opened = await store.open(small.digest)
  t.equal(opened?.verified, false, 'its reader finds it out, and has it set aside')
  opened?.release()
  t.same(disk.setAsides, [])

  disk.blobs.set(small.digest, { ...bad, verified: true })
  t.equal(await store.open(small.digest), undefined, 'nobody else would find it out')
  t.same(disk.setAsides, [small.digest])
  t.equal(store.held(small.digest), undefined)
  t.equal(disk.held, 0)
})

t.test('what is in memory is verified on the disk as well', async t => {
  const disk = new MemoryStore()
  const store = new SmallBlobs(disk)
  disk.blobs.set(small.digest, { bytes: small.bytes, verified: false })
  await fetchFrom(store, small.digest)
  t.equal(disk.blobs.get(small.digest)?.verified, true)
})

t.test('a disk that cannot be read is the reader’s trouble', async t => {
  const disk = new MemoryStore()
  const store = new SmallBlobs(disk)
  await putAll(store, small)
  disk.failing.add('read')
  const blob = await store.open(small.digest)
  await t.rejects(async () => blob && readAll(blob), { code: 'EREAD' })
  blob?.release()
  t.equal(store.held(small.digest), undefined)
  disk.failing.clear()
  t.same(await fetchFrom(store, small.digest), small.bytes)
  t.equal(disk.held, 0)
})

t.test('a small blob on its way in waits for no disk before it is committed', async t => {
  const disk = new MemoryStore()
  const store = new SmallBlobs(disk)
  disk.failing.add('ingest')
  const ingest = await store.ingest(small.bytes.length)
  await ingest.write(small.bytes, 0)
  t.same(await readAll(ingest), small.bytes)
  await t.rejects(ingest.commit(small.digest), { code: 'EINGEST' })
  t.same(await readAll(ingest), small.bytes, 'whoever reads it is not to notice')
  await t.rejects(ingest.commit(small.digest), 'once only')
  await ingest.discard()
  await t.rejects(ingest.write(small.bytes, 0), { code: 'ECANCELED' })
  await t.rejects(store.ingest(undefined), { code: 'EINGEST' }, 'what may become large is not held')
  await t.rejects(store.ingest(65_537), { code: 'EINGEST' })
})

t.test('what the disk does not take of a small blob is given up there', async t => {
  const disk = new MemoryStore()
  const store = new SmallBlobs(disk)
  for (const fault of ['write', 'commit'] as const) {
    const ingest = await store.ingest(small.bytes.length)
    await ingest.write(small.bytes, 0)
    disk.failing.add(fault)
    await t.rejects(ingest.commit(small.digest), CacheTrouble)
    disk.failing.clear()
    await ingest.discard()
    t.equal(disk.ingests, 0, fault)
  }
})

t.test('readers of a small blob have all of it while the disk is still being waited for', async t => {
  const disk = new MemoryStore()
  const cache = createBlobCache({ store: new SmallBlobs(disk), verify: 'first' })
  let sync: () => void = () => undefined
  const synced = new Promise<void>(resolve => (sync = resolve))
  disk.beforeCommit = () => synced
  const lease = await cache.lease(small.digest, new MemorySource({ bytes: small.bytes }), never)
  t.equal(lease.result, 'miss')
  t.same(await readLease(lease), small.bytes)
  lease.release()
  t.equal(disk.blobs.size, 0)
  sync()
  await cache.settled()
  t.same([...disk.blobs.keys()], [small.digest])
  await cache.close()
})

t.test('a store that is closed has nothing in memory', async t => {
  const store = new SmallBlobs(new MemoryStore())
  ;(await put(store, small)).release()
  await fetchFrom(store, small.digest)
  await store.close()
  t.equal(store.held(small.digest), undefined)
})
