import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readlinkSync, statSync, utimesSync, type BigIntStats } from 'node:fs'
import * as nodeFiles from 'node:fs/promises'
import t from 'tap'
import { digestOf, type Digest } from '../../src/oci/digest.js'
import { openDiskStore, type DiskStore } from '../../src/store/disk-store.js'
import type { FileSystem } from '../../src/store/file-system.js'
import type { ScrubEvent } from '../../src/store/scrub.js'
import { scrubProgressFile } from '../../src/store/scrub-progress.js'
import { blobOf, fetchFrom, listed, putAll, type TestBlob } from './support/blobs.js'
import {
  BEGIN,
  cacheDirectory,
  DAY,
  digestsOf,
  fails,
  flipBit,
  foundBad,
  HOUR,
  scrubStand,
  SECOND,
  sizeOf,
  someBlobs,
} from './support/scrub-stand.js'

const MiB = 1024 * 1024

t.test('100 of 100 flipped bits are found and set aside, and 50 good blobs are left alone', async t => {
  const sizes = [1, 2, 100, 4095, 4096, 65_537, 300_000, MiB / 2 - 1, MiB / 2, MiB / 2 + 1, 3 * MiB]
  const blobs = Array.from({ length: 150 }, (_, turn): TestBlob => {
    const size = sizes[turn % sizes.length] ?? 0
    const bytes = size < 100 ? Buffer.alloc(size, turn) : randomBytes(size)
    return { bytes, digest: digestOf(bytes, turn % 10 === 0 ? 'sha512' : 'sha256') }
  })
  t.equal(new Set(digestsOf(blobs)).size, 150)
  const { store, layout, start, told, events, watched } = await scrubStand(t)
  await putAll(store, ...blobs)
  const bad = blobs.filter((_, turn) => turn % 3 !== 2)
  const good = blobs.filter((_, turn) => turn % 3 === 2)
  for (const [turn, { digest, bytes }] of bad.entries()) {
    flipBit(layout.blob(digest), Math.round((turn / 99) * (bytes.length * 8 - 1)))
  }
  const scrub = await start()
  t.match(await told('scrub ended'), { blobs: 150, bytes: sizeOf(blobs), bad: 100, troubles: 0 })

  t.equal(foundBad(events).length, 100)
  t.same(foundBad(events), digestsOf(bad))
  t.same([...watched.totals().keys()], digestsOf(blobs), 'it goes by the digests')
  t.match(scrub.state(), { blobs: 150, bytes: sizeOf(blobs), bad: 100, running: false })
  t.equal((await store.stats()).integrityFailures, 100)
  t.equal(readdirSync(layout.quarantine).length, 16, 'of which the newest are kept')
  for (const { digest } of bad) {
    if (existsSync(layout.blob(digest))) t.fail('a bad one lies there still')
    if (await store.open(digest)) t.fail('a bad one is found still')
  }
  for (const { digest, bytes } of good) {
    if (!(await fetchFrom(store, digest))?.equals(bytes)) t.fail('a good one is lost')
  }
})

t.test('a bit that the disk lost unseen is found, though its blob counts as verified', async t => {
  const { store, watched, start, told, events } = await scrubStand(t)
  const [blob, other] = [blobOf('rotten', MiB), blobOf('other', MiB)]
  await putAll(store, blob, other)
  watched.distort = (digest, bytes, position) => {
    if (digest === blob.digest && position === 0) bytes[5] = (bytes[5] ?? 0) ^ 1
  }
  await start()
  t.match(await told('scrub ended'), { blobs: 2, bad: 1 })
  t.same(foundBad(events), [blob.digest])
})

t.test('what is right counts as verified, and its next reader need not hash it', async t => {
  const directory = cacheDirectory(t)
  const first = await scrubStand(t, { directory })
  const blobs = someBlobs(3, 1000)
  await putAll(first.store, ...blobs)
  await first.store.close()
  const { store, start, told } = await scrubStand(t, { directory })
  await start()
  await told('scrub ended')
  for (const { digest } of blobs) {
    const stored = await store.open(digest)
    t.equal(stored?.verified, true)
    stored?.release()
  }
})

t.test('no second of a pass reads more bytes than the rate, and not far less', async t => {
  const rate = MiB
  const { store, watched, start, told } = await scrubStand(t)
  const large = [5000, 60_000, 400_000, MiB, 2 * MiB].map(size => blobOf(size, size))
  await putAll(store, ...large, ...someBlobs(50, 3))
  await start({ rate })
  await told('scrub ended')
  const { reads } = watched
  const inSecond = reads.map(({ at: begin }) =>
    reads.reduce((sum, { at, bytes }) => (at >= begin && at < begin + SECOND ? sum + bytes : sum), 0),
  )
  const most = Math.max(...inSecond)
  t.ok(most <= rate && most >= rate * 0.95, `${most} bytes in a second`)
  const span = (reads.at(-1)?.at ?? 0) - (reads[0]?.at ?? 0)
  t.ok(span >= (sizeOf(large) / rate - 1) * SECOND, `${span} ms in all`)
})

t.test('many small blobs are not read as fast as their few bytes would allow', async t => {
  const { store, watched, start, told } = await scrubStand(t)
  await putAll(store, ...someBlobs(100, 1))
  await start({ rate: 20 * MiB })
  await told('scrub ended')
  const { reads } = watched
  t.ok((reads.at(-1)?.at ?? 0) - (reads[0]?.at ?? 0) > 300, 'a few milliseconds for each')
})

t.test('a pass that is stopped again and again does everything once and nothing twice', async t => {
  const directory = cacheDirectory(t)
  const blobs = someBlobs(25, 5000)
  const sizes = new Map(blobs.map(({ digest, bytes }) => [digest, bytes.length]))
  const [bad] = blobs.slice(13)
  const hashed: Digest[] = []
  const ended: ScrubEvent[] = []
  let runs = 0
  for (; ended.length === 0 && runs < 20; runs++) {
    await t.test(`run ${runs + 1}`, async t => {
      const { store, layout, watched, start, events, clock, until } = await scrubStand(t, {
        directory,
        passed: runs * HOUR,
      })
      if (runs === 0) {
        await putAll(store, ...blobs)
        if (bad) flipBit(layout.blob(bad.digest), 77)
      }
      // So slow that every blob takes many reads, in the midst of which it is stopped.
      const scrub = await start({ rate: 5000, ...(runs === 0 && { every: 1 }) })
      let stopped: Promise<void> | undefined
      watched.beforeRead = () => {
        if (watched.totals().size === 4) stopped ??= scrub.stop()
      }
      await until(() => stopped !== undefined || events.some(({ kind }) => kind === 'scrub ended'))
      t.ok(clock.now() < HOUR, 'it goes on at once')
      await stopped
      for (const [digest, bytes] of watched.totals()) if (bytes === sizes.get(digest)) hashed.push(digest)
      ended.push(...events.filter(({ kind }) => kind === 'scrub ended'))
      await scrub.stop()
      await store.close()
    })
  }
  t.ok(runs > 5, `${runs} runs`)
  t.same(hashed, digestsOf(blobs))
  t.match(ended, [{ blobs: 25, bytes: sizeOf(blobs), bad: 1, troubles: 0 }], 'all runs count')
})

t.test('after a kill no more than ten seconds are done again', async t => {
  const { store, layout, watched, clock, start, told } = await scrubStand(t)
  const size = 10_000
  await putAll(store, ...someBlobs(60, size))
  const file = scrubProgressFile(watched.files, layout)
  const lags: number[] = []
  watched.beforeRead = async () => {
    const last = (await file.read())?.pass?.last
    const done = watched.reads.findLast(({ digest }) => digest === last) ?? watched.reads[0]
    if (done) lags.push(clock.now() - done.at)
  }
  await start({ rate: size })
  await told('scrub ended')
  const most = Math.max(...lags)
  t.ok(most > 8 * SECOND && most < 12 * SECOND, `${most} ms, with the blob that is being hashed`)
})

t.test('the first pass is due after one interval, which restarts do not put off', async t => {
  const directory = cacheDirectory(t)
  const first = await scrubStand(t, { directory })
  await putAll(first.store, blobOf(1, 10))
  first.clock.end = 0
  const scrub = await first.start()
  await first.until(() => existsSync(first.layout.scrub))
  t.match(scrub.state(), { running: false, ended: undefined, blobs: 0 })
  await scrub.stop()
  await first.store.close()

  const second = await scrubStand(t, { directory, passed: 23 * HOUR })
  await second.start()
  await second.told('scrub ended')
  t.same(
    second.watched.reads.map(({ at }) => Math.floor(at / HOUR)),
    [1],
  )
})

t.test('a pass that ended three hours before a restart is next due in 21 hours', async t => {
  const directory = cacheDirectory(t)
  const first = await scrubStand(t, { directory })
  await putAll(first.store, blobOf(1, 10))
  const scrub = await first.start()
  await first.told('scrub ended')
  const { ended = 0 } = scrub.state()
  t.equal(Math.floor((ended - BEGIN) / SECOND), DAY / SECOND)
  await scrub.stop()
  await first.store.close()

  const second = await scrubStand(t, { directory, passed: ended - BEGIN + 3 * HOUR })
  const again = await second.start()
  t.equal(again.state().ended, ended)
  await second.told('scrub ended')
  t.equal(Math.floor((second.watched.reads[0]?.at ?? 0) / SECOND), (21 * HOUR) / SECOND)
  t.ok((again.state().ended ?? 0) > ended)
})

t.test('passes follow one another, and one that is due long since begins at once', async t => {
  const directory = cacheDirectory(t)
  const first = await scrubStand(t, { directory })
  await putAll(first.store, blobOf(1, 10))
  first.clock.end = 10 * DAY
  const scrub = await first.start()
  await first.told('scrub ended', 4)
  await scrub.stop()
  const { reads } = first.watched
  t.same(
    reads.slice(0, 4).map(({ at }) => Math.floor(at / DAY)),
    [1, 2, 3, 4],
  )
  t.match(scrub.state(), { blobs: reads.length, bytes: 10 * reads.length }, 'they count together')
  await first.store.close()

  const later = await scrubStand(t, { directory, passed: 30 * DAY })
  await later.start()
  await later.told('scrub ended')
  t.ok((later.watched.reads[0]?.at ?? DAY) < SECOND)
})

t.test('an interval may be longer than a timer can hold', async t => {
  const { store, start, told, clock, watched } = await scrubStand(t)
  await putAll(store, blobOf(1, 10))
  clock.end = 100 * DAY
  await start({ every: 60 * DAY })
  await told('scrub ended')
  t.equal(Math.floor((watched.reads[0]?.at ?? 0) / DAY), 60)
  t.ok(clock.longest < 2 ** 31)
})

t.test('a clock that was set back does not put a pass off for longer than the interval', async t => {
  const directory = cacheDirectory(t)
  const first = await scrubStand(t, { directory })
  await putAll(first.store, blobOf(1, 10))
  const scrub = await first.start()
  await first.told('scrub ended')
  await scrub.stop()
  await first.store.close()
  const back = await scrubStand(t, { directory, passed: -365 * DAY })
  await back.start()
  await back.told('scrub ended')
  t.equal(Math.floor((back.watched.reads[0]?.at ?? 0) / HOUR), 24)
})

t.test('progress that cannot be kept is told of once, and the scrub goes on', async t => {
  const { store, watched, start, told, events, clock } = await scrubStand(t)
  await putAll(store, ...someBlobs(30, 10_000))
  watched.beforeOpen = path => {
    if (path.includes('/ingest/')) fails('EROFS')
  }
  clock.end = 10 * DAY
  await start({ rate: 10_000 })
  await told('scrub ended', 2)
  t.match(events.map(({ kind }) => kind).slice(0, 5), [
    'scrub trouble',
    'scrub began',
    'scrub ended',
    'scrub began',
    'scrub ended',
  ])
})

t.test('a blob that is gone when its turn comes is passed over', async t => {
  const { store, watched, start, told } = await scrubStand(t)
  const blobs = someBlobs(10, 1000)
  const [, , current, next] = blobs
  await putAll(store, ...blobs)
  watched.beforeRead = async digest => {
    if (digest === current?.digest && next) await store.remove(next.digest)
  }
  await start()
  t.match(await told('scrub ended'), { blobs: 9, bad: 0, troubles: 0 })
  t.same([...watched.totals().keys()], digestsOf(blobs.filter(blob => blob !== next)))
})

t.test('what is on its way in is not read', async t => {
  const { store, layout, watched, start, told } = await scrubStand(t)
  const [blob, growing] = [blobOf('blob', 10), blobOf('growing', 1000)]
  await putAll(store, blob)
  const ingest = await store.ingest(growing.bytes.length)
  await ingest.write(growing.bytes, 0)
  const opened: string[] = []
  watched.beforeOpen = (path, flags) => {
    if (typeof flags === 'number' && !path.endsWith('scrub.json')) opened.push(path)
  }
  await start()
  await told('scrub ended')
  t.same(opened, [layout.blob(blob.digest)])
  await ingest.commit(growing.digest).then(stored => stored.release())
})

t.test('blobs are evicted meanwhile as ever, but not the one that is being hashed', async t => {
  const directory = cacheDirectory(t)
  const { store, watched, start, told } = await scrubStand(t, { directory, maxSize: 40 * 4096 })
  const blobs = someBlobs(40, 4000)
  const [oldest, second] = blobs
  await putAll(store, ...blobs)
  let stored: Promise<void> | undefined
  watched.beforeRead = async () => await (stored ??= putAll(store, blobOf('new', 4000)))
  await start()
  const { evictions } = await told('scrub ended').then(() => store.stats())
  t.ok(evictions > 0)
  t.equal(watched.totals().size, 40 - evictions)
  const found = await listed(store)
  t.ok(oldest && found.includes(oldest.digest))
  t.notOk(second && found.includes(second.digest))
})

t.test('a bad blob that is replaced while it is hashed does not take the good one with it', async t => {
  const ways: Record<string, (store: DiskStore, blob: TestBlob) => Promise<unknown>> = {
    'stored again': (store, blob) => putAll(store, blob),
    'found by a reader, and fetched anew': async (store, blob) => {
      await store.setAside(blob.digest)
      await putAll(store, blob)
    },
    'removed, and stored again': async (store, blob) => {
      await store.remove(blob.digest)
      await putAll(store, blob)
    },
    removed: (store, blob) => store.remove(blob.digest),
  }
  for (const [way, replace] of Object.entries(ways)) {
    await t.test(way, async t => {
      const { store, layout, watched, start, told, events } = await scrubStand(t)
      const blob = blobOf('bad', 300_000)
      await putAll(store, blob)
      flipBit(layout.blob(blob.digest), 1)
      let replaced: Promise<unknown> | undefined
      watched.beforeRead = async () => {
        await (replaced ??= replace(store, blob))
      }
      await start({ rate: MiB })
      t.match(await told('scrub ended'), { blobs: 1, bad: 0, troubles: 0 })
      t.same(foundBad(events), [])
      t.same(await fetchFrom(store, blob.digest), way === 'removed' ? undefined : blob.bytes)
    })
  }
})

t.test('a scrub changes neither the order of eviction nor what a restart makes of it', async t => {
  const directory = cacheDirectory(t)
  const first = await scrubStand(t, { directory })
  const blobs = Array.from({ length: 12 }, (_, seed) => blobOf(seed, 5000))
  await putAll(first.store, ...blobs)
  const order = blobs.map(({ digest }) => digest)
  t.not(String(order), String(digestsOf(blobs)))
  // In seconds since 1970: so long ago that a file system that notes an access once a day would note the next.
  const longAgo = 1_600_000_000
  for (const [turn, digest] of order.entries()) {
    utimesSync(first.layout.blob(digest), longAgo + turn * 60, longAgo)
  }
  const times = (): bigint[][] =>
    order
      .map((digest): BigIntStats => statSync(first.layout.blob(digest), { bigint: true }))
      .map(({ atimeNs, mtimeNs, ctimeNs }) => [atimeNs, mtimeNs, ctimeNs])
  const before = times()
  const scrub = await first.start()
  t.match(await first.told('scrub ended'), { blobs: 12, bad: 0 })
  t.same(await listed(first.store), order)
  t.same(times(), before)
  await scrub.stop()
  await first.store.close()
  t.same(await listed((await scrubStand(t, { directory })).store), order)
})

t.test('blobs are read also where an access is noted whatever is asked for', async t => {
  const { store, watched, start, told } = await scrubStand(t)
  await putAll(store, ...someBlobs(3, 1000))
  let refused = 0
  watched.beforeOpen = (_, flags) => {
    if (typeof flags !== 'number' || (flags & nodeFiles.constants.O_NOATIME) === 0) return
    refused++
    fails('EPERM')
  }
  await start()
  t.match(await told('scrub ended'), { blobs: 3, troubles: 0 })
  t.equal(refused, 3)
})

t.test('a blob that cannot be read is trouble, told and counted, and does not end the pass', async t => {
  const { store, layout, watched, start, told, events } = await scrubStand(t)
  const blobs = someBlobs(10, 1000)
  const [, unread = blobOf(0, 0), , unopened = blobOf(0, 0)] = blobs
  await putAll(store, ...blobs)
  watched.beforeRead = digest => {
    if (digest === unread.digest) fails('EIO')
  }
  watched.beforeOpen = path => {
    if (path === layout.blob(unopened.digest)) fails('EACCES')
  }
  const scrub = await start()
  t.match(await told('scrub ended'), { blobs: 8, bad: 0, troubles: 2 })
  t.match(scrub.state(), { blobs: 8, bad: 0, troubles: 2 })
  t.match(
    events.filter(({ kind }) => kind === 'cache trouble'),
    [
      { digest: unread.digest, error: { name: 'CacheTrouble', code: 'EIO' } },
      { digest: unopened.digest, error: { name: 'CacheTrouble', code: 'EACCES' } },
    ],
  )
  watched.beforeRead = () => undefined
  t.same(await fetchFrom(store, unread.digest), unread.bytes, 'it lies where it was')
})

t.test('stopped in the midst of a blob it ends at once, and no file stays open', async t => {
  const { store, layout, watched, clock, start, until } = await scrubStand(t)
  await putAll(store, blobOf('large', MiB))
  clock.end = DAY + 10 * SECOND
  const scrub = await start({ rate: 1000 })
  await until(() => watched.reads.length > 5)
  t.equal(openBelow(layout.blobs), 1)
  t.equal(scrub.state().running, true)
  await scrub.stop()
  t.ok(clock.now() <= clock.end)
  t.equal(scrub.state().running, false)
  await until(() => openBelow(layout.blobs) === 0)
  await scrub.stop()
})

function openBelow(directory: string): number {
  const linkOf = (fd: string): string => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  }
  return readdirSync('/proc/self/fd').filter(fd => linkOf(fd).startsWith(directory)).length
}

t.test('it is stopped at once also while the directory is still being read through', async t => {
  const directory = cacheDirectory(t)
  let readThrough = (): void => undefined
  const gate = new Promise<void>(resolve => (readThrough = resolve))
  const files = {
    ...nodeFiles,
    readdir: async (path: string) => {
      if (path.endsWith('/blobs')) await gate
      return nodeFiles.readdir(path)
    },
  } as unknown as FileSystem
  const { start, told } = await scrubStand(t, { directory: cacheDirectory(t) })
  const store = await openDiskStore({ directory, maxSize: 1 << 30, minFree: { bytes: 0 } }, files)
  const scrub = await start({ store })
  await told('scrub began')
  await scrub.stop()
  readThrough()
  await store.close()
})
