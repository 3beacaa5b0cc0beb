import { execFileSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CacheTrouble } from '../../src/store/blob-store.js'
import { openDiskStore } from '../../src/store/disk-store.js'
import { blobOf, fetchFrom, listed, put, putAll } from './support/blobs.js'
import { compileStore } from './support/compiled.js'
import { mountDirectory, mountTmpfs, noMounts } from './support/mounts.js'

const PAUSE = 31_000

t.test('a full disk refuses blobs, keeps those it has, and recovers', { skip: noMounts }, async t => {
  let now = Date.now()
  const { directory } = mountTmpfs(t, join(mountDirectory(t), 'disk'), '1m')
  const store = await openDiskStore({ directory, maxSize: 1 << 30, minFree: { bytes: 0 }, clock: () => now })
  t.teardown(() => store.close())
  const kept = blobOf('kept', 100_000)
  await putAll(store, kept)
  const ingest = await store.ingest(600_000)
  writeFileSync(join(directory, 'stranger'), Buffer.alloc(500_000))
  await t.rejects(ingest.write(Buffer.alloc(600_000), 0), { name: 'CacheTrouble', code: 'ENOSPC' })
  await t.rejects(ingest.commit(kept.digest), { code: 'ENOSPC' })
  await ingest.discard()
  t.same(readdirSync(join(directory, 'v1/ingest')), [])
  t.same(await fetchFrom(store, kept.digest), kept.bytes)
  await t.rejects(store.ingest(1), { code: 'ENOSPC' }, 'it pauses')

  now += PAUSE
  const large = blobOf('large', 450_000)
  await putAll(store, large)
  t.same(await fetchFrom(store, large.digest), large.bytes)
  t.equal(await store.open(kept.digest), undefined, 'there was only room for one')
})

t.test('the floor of free space is kept by eviction, or by refusing', { skip: noMounts }, async t => {
  const { directory } = mountTmpfs(t, join(mountDirectory(t), 'disk'), '1m')
  const store = await openDiskStore({ directory, maxSize: 1 << 30, minFree: { percent: 50 } })
  t.teardown(() => store.close())
  const blobs = [1, 2, 3, 4, 5].map(seed => blobOf(seed, 40 * 4096))
  await putAll(store, ...blobs)
  await store.settled()
  const { freeBytes = 0, bytes, evictions } = await store.stats()
  t.ok(freeBytes >= 1 << 19, 'half is free')
  t.same({ bytes, evictions }, { bytes: 3 * 40 * 4096, evictions: 2 })
  t.same(
    await listed(store),
    blobs.slice(2).map(blob => blob.digest),
  )
  await t.rejects(store.ingest(600_000), { code: 'EFBIG' })
  writeFileSync(join(directory, 'stranger'), Buffer.alloc(540_000))
  await t.rejects(store.ingest(4096), { code: 'ENOSPC' }, 'somebody else took it')
})

t.test(
  'a disk that becomes read-only is still read, and written to again later',
  { skip: noMounts },
  async t => {
    let now = Date.now()
    const disk = mountTmpfs(t, join(mountDirectory(t), 'disk'), '4m')
    const { directory } = disk
    const options = { directory, maxSize: 1 << 30, minFree: { bytes: 0 }, clock: () => now }
    const store = await openDiskStore(options)
    const [kept, bad, later] = [blobOf('kept', 9000), blobOf('bad', 9000), blobOf('later', 9000)]
    await putAll(store, kept, bad)
    disk.remount('ro')
    t.same(await fetchFrom(store, kept.digest), kept.bytes)
    await t.rejects(put(store, later), { name: 'CacheTrouble', code: 'EROFS' })
    await t.rejects(store.remove(kept.digest), { code: 'EROFS' })
    await store.setAside(bad.digest)
    t.equal(await store.open(bad.digest), undefined)
    t.same(await fetchFrom(store, kept.digest), kept.bytes)
    await store.close()

    const restarted = await openDiskStore(options)
    t.teardown(() => restarted.close())
    t.equal((await restarted.stats()).writePaused, 'EROFS')
    t.same(await fetchFrom(restarted, kept.digest), kept.bytes, 'a start on it works too')
    await t.rejects(restarted.ingest(1), { code: 'EROFS' })
    disk.remount('rw')
    await t.rejects(restarted.ingest(1), { code: 'EROFS' }, 'not yet')
    now += PAUSE
    await putAll(restarted, later)
    await restarted.settled()
    t.same(await fetchFrom(restarted, later.digest), later.bytes)
    t.equal((await restarted.stats()).writePaused, undefined)
    t.equal((await listed(restarted)).length, 3)
  },
)

t.test('a disk that goes away and comes back', { skip: noMounts }, async t => {
  let now = Date.now()
  const directory = join(mountDirectory(t), 'disk')
  const first = mountTmpfs(t, directory, '4m')
  const store = await openDiskStore({ directory, maxSize: 1 << 30, minFree: { bytes: 0 }, clock: () => now })
  t.teardown(() => store.close())
  const blob = blobOf('blob', 9000)
  await putAll(store, blob)
  first.unmount()
  mountTmpfs(t, directory, '4m').remount('ro')
  t.equal(await store.open(blob.digest), undefined)
  await t.rejects(store.ingest(1), CacheTrouble)
  mountTmpfs(t, directory, '4m')
  now += PAUSE
  await putAll(store, blob)
  t.same(await fetchFrom(store, blob.digest), blob.bytes)
})

t.test('with no file descriptors left blobs are refused, until there are again', async t => {
  const directory = t.testdir()
  const program = join(compileStore(directory), 'many-files.js')
  const command = `ulimit -n 64 && exec "$0" "$@"`
  const out = execFileSync('bash', ['-c', command, process.execPath, program, join(directory, 'cache')], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  })
  t.same(JSON.parse(out), {
    opened: 'EMFILE',
    ingested: 'EMFILE',
    reread: true,
    held: 500,
    readErrors: 1,
    writeErrors: 1,
  })
})
