import * as nodeFiles from 'node:fs/promises'
import { open as openFile, readdir, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createBlobCache, type BlobCache, type BlobCacheEvent } from '../../src/store/blob-cache.js'
import type { Extent } from '../../src/store/blob-store.js'
import { openDiskStore } from '../../src/store/disk-store.js'
import type { FileSystem } from '../../src/store/file-system.js'
import { DigestMismatch, type Lease } from '../../src/store/lease.js'
import { bytesIn } from '../../src/store/part-table.js'
import { readRecord } from '../../src/store/partial-record.js'
import { inRing } from '../support/ring.js'
import { Content } from './support/content.js'
import { compileStore } from './support/compiled.js'
import { never, readUntilFailure } from './support/reading.js'
import { startStorage, type Storage } from './support/storage.js'
import { lookAt, startWriter } from './support/written.js'

const KiB = 1024
const SIZE = 6 * 1024 * KiB + 17
const PARTS = 4
/** How far from the end a reader still is when its download is interrupted: others than its range are ahead of it. */
const AHEAD = 2048 * KiB

interface StartOptions {
  files?: FileSystem
  /** Milliseconds after which a silent upstream is given up. */
  noProgress?: number
}

interface Running {
  cache: BlobCache
  events: BlobCacheEvent[]
  /** As at the end of the process. */
  end(): Promise<void>
}

/** A mirror's cache, from one start to the next. */
async function start(
  t: Test,
  directory: string,
  { files, noProgress = 30_000 }: StartOptions = {},
): Promise<Running> {
  const store = await openDiskStore({ directory, maxSize: 1 << 30, minFree: { bytes: 0 } }, files)
  const events: BlobCacheEvent[] = []
  const cache = createBlobCache({
    store,
    verify: 'first',
    parts: PARTS,
    partSize: 256 * KiB,
    idleFill: 1,
    // None goes on for nobody.
    keepAbove: 2,
    noProgress,
    onEvent: event => events.push(event),
  })
  const end = async (): Promise<void> => {
    await cache.close()
    await store.close()
  }
  t.teardown(end)
  return { cache, events, end }
}

/** A generator of its own, so that a seed says what is done. */
function generator(seed: number): () => number {
  let state = seed
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
}

/** The only suspended file, if there is one. */
async function suspendedIn(directory: string): Promise<string | undefined> {
  const folder = join(directory, 'v1/partial')
  const [name, ...others] = await readdir(folder)
  if (others.length > 0) throw new Error('more than one is kept')
  return name === undefined ? undefined : join(folder, name)
}

async function presentIn(directory: string): Promise<readonly Extent[]> {
  const file = await suspendedIn(directory)
  if (file === undefined) return []
  const handle = await openFile(file)
  try {
    const record = await readRecord(handle, (await handle.stat()).size)
    if (!record) throw new Error('no record')
    return record.present
  } finally {
    await handle.close()
  }
}

async function flip(file: string, position: number): Promise<void> {
  const handle = await openFile(file, 'r+')
  const byte = Buffer.alloc(1)
  await handle.read(byte, 0, 1, position)
  await handle.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, position)
  await handle.close()
}

/** Reads from the first byte up to `end`, and checks what it reads. */
async function readTo(lease: Lease, content: Content, end: number): Promise<boolean> {
  const buffer = Buffer.alloc(64 * KiB)
  for (let position = 0; position < end;) {
    const count = await lease.read(buffer, position, true, never)
    if (count === 0) return position === content.size
    if (!content.has(buffer.subarray(0, count), position)) return false
    position += count
  }
  return true
}

async function until(reached: () => boolean): Promise<void> {
  for (let times = 0; !reached(); times++) {
    if (times > 30_000) throw new Error('It does not happen.')
    await sleep(2)
  }
}

const happened = ({ events }: Running, kind: BlobCacheEvent['kind']): boolean =>
  events.some(event => event.kind === kind)

async function allOf(running: Running, storage: Storage, content: Content): Promise<boolean> {
  const lease = await running.cache.lease(content.digest, storage.source, never)
  try {
    const right = await readTo(lease, content, Infinity)
    await until(() => happened(running, 'fill completed'))
    return right
  } finally {
    lease.release()
  }
}

/** Ways in which a download ends before its end. A restart follows each. */
const INTERRUPTIONS: Record<string, (running: Running, storage: Storage, lease: Lease) => Promise<void>> = {
  'nobody wants it': async (running, _, lease) => {
    lease.release()
    await until(() => happened(running, 'fill suspended'))
  },
  'the mirror ends': running => running.end(),
  'the upstream is away': async (running, storage) => {
    storage.registryStatus = () => 503
    storage.fault = () => ({ kind: 'status', status: 503 })
    storage.cutAll()
    await until(() => happened(running, 'fill suspended'))
    storage.registryStatus = () => 307
    storage.fault = () => ({ kind: 'none' })
  },
}

/** Lets a download get to where a reader has read `end` bytes, and interrupts it; gives what is kept of it. */
async function interrupted(
  t: Test,
  directory: string,
  storage: Storage,
  content: Content,
  { end, how }: { end: number; how: string },
): Promise<readonly Extent[]> {
  const running = await start(t, directory, { noProgress: how === 'the upstream is away' ? 1000 : 30_000 })
  storage.holdFrom = SIZE - 1
  const lease = await running.cache.lease(content.digest, storage.source, never)
  t.ok(await readTo(lease, content, end))
  await INTERRUPTIONS[how]?.(running, storage, lease)
  lease.release()
  await running.end()
  storage.holdFrom = Infinity
  return presentIn(directory)
}

const INTERRUPTED = inRing({ short: 20, long: 50 })

t.test(`downloads that are interrupted at ${INTERRUPTED} random points ask for no byte twice`, async t => {
  t.setTimeout(300_000)
  const SEED = 20261201
  const random = generator(SEED)
  let interruptions = 0
  let [askedTwice, sent, inFlight, mostInFlight] = [0, 0, 0, 0]
  let round = 0
  for (; interruptions < INTERRUPTED; round++) {
    const content = new Content(SIZE)
    const storage = await startStorage(t, content)
    // 6 MB/s a connection: what was sent has arrived, but for little.
    storage.pace = 10
    const directory = join(t.testdir(), 'cache')
    let present: readonly Extent[] = []
    for (let times = 1 + (round % 3), end = 0; times > 0; times--, interruptions++) {
      end += Math.ceil((random() * (SIZE - AHEAD - end)) / times)
      const before = { sent: storage.sent, received: bytesIn(present), present }
      storage.ranges.length = 0
      const how = Object.keys(INTERRUPTIONS)[interruptions % 3] ?? ''
      present = await interrupted(t, directory, storage, content, { end, how })
      t.ok(bytesIn(present) >= end, `kept when ${how}`)
      askedTwice += overlaps(storage.ranges, before.present)
      const lost = storage.sent - before.sent - (bytesIn(present) - before.received)
      mostInFlight = Math.max(mostInFlight, lost)
      inFlight += lost
    }
    const sentBefore = storage.sent
    storage.ranges.length = 0
    t.ok(await allOf(await start(t, directory), storage, content), 'the bytes are right')
    t.equal(storage.sent - sentBefore, SIZE - bytesIn(present), 'what is missing is sent, and no more')
    askedTwice += overlaps(storage.ranges, present)
    sent += storage.sent / SIZE
    t.same(await readdir(join(directory, 'v1/partial')), [])
    t.same(await readdir(join(directory, 'v1/ingest')), [])
  }
  t.equal(askedTwice, 0)
  t.ok(mostInFlight <= PARTS * 256 * KiB, 'little was on its way when a download ended')
  t.comment(
    `seed ${SEED}, ${interruptions} interruptions: upstream ${(sent / round).toFixed(4)} times the blobs, ` +
      `${Math.round(inFlight / interruptions / KiB)} KiB on their way at each`,
  )
})

/** How many of the ranges have bytes in common with what was there. */
function overlaps(ranges: readonly Extent[], present: readonly Extent[]): number {
  return ranges.filter(({ first, last }) => present.some(each => first <= each.last && each.first <= last))
    .length
}

t.test('a suspended file that is damaged costs a download and nothing else', async t => {
  const content = new Content(SIZE)
  const storage = await startStorage(t, content)
  storage.pace = 1
  const damages: Record<
    string,
    { damage: (file: string) => Promise<void>; found: 'by its digest' | 'at once' }
  > = {
    'a bit': { damage: file => flip(file, 100), found: 'by its digest' },
    'its record': {
      damage: async file => truncate(file, (await stat(file)).size - 1),
      found: 'at once',
    },
    'no record': { damage: file => truncate(file, SIZE), found: 'at once' },
  }
  for (const [what, { damage, found }] of Object.entries(damages)) {
    const directory = join(t.testdir(), 'cache')
    await interrupted(t, directory, storage, content, { end: 1000 * KiB, how: 'the mirror ends' })
    await damage((await suspendedIn(directory)) ?? '')
    const running = await start(t, directory)
    if (found === 'by its digest') {
      const lease = await running.cache.lease(content.digest, storage.source, never)
      const { error, count } = await readUntilFailure(lease)
      t.ok(error instanceof DigestMismatch, what)
      t.ok(count < SIZE)
      lease.release()
      await until(() => happened(running, 'mismatch'))
    }
    storage.ranges.length = 0
    t.ok(await allOf(running, storage, content), `${what}: the next one is right`)
    t.equal(storage.ranges[0]?.first, 0, 'and began anew')
    t.equal(await suspendedIn(directory), undefined)
    await running.end()
  }
})

t.test('a blob that has another size than what was kept is downloaded anew', async t => {
  const content = new Content(SIZE)
  const storage = await startStorage(t, content)
  for (const [what, size] of [
    ['a longer one', SIZE * 2],
    ['a shorter one', SIZE - 1],
  ] as const) {
    const directory = join(t.testdir(), 'cache')
    const other = await startStorage(t, new Content(size))
    other.pace = 3
    const first = await start(t, directory)
    const lease = await first.cache.lease(content.digest, other.source, never)
    // Beyond where the right one ends, when it is longer.
    lease.want(Math.min(size, SIZE) - 10)
    await until(() => other.sent > size / 2)
    await first.end()
    lease.release()
    t.ok(bytesIn(await presentIn(directory)) > 0)
    const second = await start(t, directory)
    t.ok(await allOf(second, storage, content), what)
    t.ok(happened(second, 'fill started'))
    t.notOk(happened(second, 'fill resumed'))
    await second.end()
  }
})

t.test('a close when all is there but the digest is not yet known costs one byte', async t => {
  const content = new Content(SIZE)
  const storage = await startStorage(t, content)
  const directory = join(t.testdir(), 'cache')
  let hash: () => void = () => undefined
  const hashing = new Promise<void>(resolve => (hash = resolve))
  const files = {
    ...nodeFiles,
    open: async (...args: Parameters<FileSystem['open']>) => {
      const handle = await nodeFiles.open(...args)
      const read = handle.read.bind(handle) as (...all: unknown[]) => Promise<unknown>
      handle.read = (async (...all: unknown[]) => {
        // Where the hash begins.
        if (args[1] === 'wx+' && all[3] === 0) await hashing
        return read(...all)
      }) as never
      return handle
    },
  } as FileSystem
  const running = await start(t, directory, { files })
  const lease = await running.cache.lease(content.digest, storage.source, never)
  for (let position = 1; position < SIZE; position += KiB)
    await lease.read(Buffer.alloc(1), position, false, never)
  await lease.read(Buffer.alloc(1), SIZE - 1, false, never)
  const ended = running.end()
  hash()
  await ended
  lease.release()
  t.same(await presentIn(directory), [{ first: 0, last: SIZE - 1 }])

  const [sent, located] = [storage.sent, storage.located]
  storage.ranges.length = 0
  const second = await start(t, directory)
  t.ok(await allOf(second, storage, content))
  t.same(storage.ranges, [{ first: SIZE - 1, last: SIZE - 1 }])
  t.ok(storage.sent - sent <= 1)
  t.equal(storage.located, located + 1, 'the registry was asked')
})

const KILLS = inRing({ short: 8, long: 20 })

t.test(
  `a process killed at ${KILLS} random moments amid interrupted downloads leaves nothing wrong`,
  async t => {
    t.setTimeout(300_000)
    const program = join(compileStore(t.testdir()), 'filler.js')
    const directory = join(t.testdirName, 'cache')
    const stored = new Set<string>()
    const wrong: string[] = []
    let kept = 0
    // On, where by bad luck none of them met a download that was interrupted.
    for (let kill = 0; kill < KILLS || (kept === 0 && kill < 5 * KILLS); kill++) {
      const filler = startWriter(t, program, [directory, String(kill)], stored)
      await filler.storedMore(2)
      await sleep(Math.random() * 500)
      await filler.kill()
      wrong.push(...filler.wrong)
      const store = await openDiskStore({ directory, maxSize: 1 << 30, minFree: { bytes: 0 } })
      t.same(await readdir(join(directory, 'v1/ingest')), [])
      kept += (await readdir(join(directory, 'v1/partial'))).length
      await store.close()
    }
    const { found, bad } = await lookAt(directory)
    t.same([...bad, ...wrong], [])
    t.same(
      [...stored].filter(digest => !found.has(digest)),
      [],
    )
    t.ok(kept > 0)
    t.comment(`${stored.size} stored, ${kept} suspended files found after the kills`)
  },
)
