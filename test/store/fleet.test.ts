import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import {
  createBlobCache,
  type BlobCache,
  type BlobCacheEvent,
  type BlobCacheOptions,
} from '../../src/store/blob-cache.js'
import { openDiskStore, type DiskStore } from '../../src/store/disk-store.js'
import { Content } from './support/content.js'
import { startStorage, type Storage } from './support/storage.js'

const MiB = 1024 * 1024

interface Stand {
  cache: BlobCache
  store: DiskStore
  storage: Storage
  events: BlobCacheEvent[]
}

async function stand(t: Test, content: Content, options: Partial<BlobCacheOptions> = {}): Promise<Stand> {
  const storage = await startStorage(t, content)
  const store = await openDiskStore({
    directory: t.testdir(),
    maxSize: 10 * 1024 * MiB,
    minFree: { bytes: 0 },
  })
  const events: BlobCacheEvent[] = []
  const cache = createBlobCache({ store, verify: 'first', ...options, onEvent: event => events.push(event) })
  t.teardown(async () => {
    await cache.close()
    await store.close()
  })
  return { cache, store, storage, events }
}

/** By how many bytes the process, and the buffers in it, grew at most while `work` was done. */
async function growthDuring(work: () => Promise<void>): Promise<{ rss: number; buffers: number }> {
  const before = process.memoryUsage()
  const growth = { rss: 0, buffers: 0 }
  const timer = setInterval(() => {
    const { rss, external } = process.memoryUsage()
    growth.rss = Math.max(growth.rss, rss - before.rss)
    growth.buffers = Math.max(growth.buffers, external - before.external)
  }, 50)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
  return growth
}

/** Or why it failed. */
type Outcome = 'right' | 'wrong' | 'left' | Error

interface ReaderOptions {
  cache: BlobCache
  content: Content
  source: Storage['source']
  /** Leaves at this byte. */
  leaveAt?: number
  /** Waited for before each read. */
  pace?: (position: number) => Promise<void>
  buffer?: number
}

async function reader({
  cache,
  content,
  source,
  leaveAt = Infinity,
  pace,
  buffer: length = 256 * 1024,
}: ReaderOptions): Promise<Outcome> {
  const client = new AbortController()
  const leaving = (): boolean => client.signal.aborted
  const leave = leaveAt < 0 ? setTimeout(() => client.abort(), 5) : undefined
  try {
    const lease = await cache.lease(content.digest, source, client.signal)
    try {
      const buffer = Buffer.allocUnsafe(length)
      for (let position = 0; ;) {
        if (position >= leaveAt) client.abort()
        await pace?.(position)
        const count = await lease.read(buffer, position, true, client.signal)
        if (count === 0) return position === content.size ? 'right' : 'wrong'
        if (!content.has(buffer.subarray(0, count), position)) return 'wrong'
        position += count
      }
    } finally {
      lease.release()
    }
  } catch (error) {
    return leaving() ? 'left' : (error as Error)
  } finally {
    clearTimeout(leave)
  }
}

/** Waits until so many downloads are stored. */
async function completed(events: BlobCacheEvent[], count: number): Promise<void> {
  while (events.filter(({ kind }) => kind === 'fill completed').length < count) await sleep(5)
}

const countOf = (outcomes: Outcome[], wanted: Outcome): number =>
  outcomes.filter(each => each === wanted).length

t.test('a hundred readers of one cold blob, a third leaving and one slow', async t => {
  const content = new Content(256 * MiB)
  const { cache, storage } = await stand(t, content)
  const { source } = storage
  let others: Promise<Outcome[]> = Promise.resolve([])
  let slow: Promise<Outcome> = Promise.resolve('left')
  const started = performance.now()
  let fast = 0
  const growth = await growthDuring(async () => {
    let hurry = false
    let readSlowly = 0
    slow = reader({
      cache,
      content,
      source,
      pace: async position => {
        readSlowly = hurry ? readSlowly : position
        // A bucket of 1 MB/s.
        if (!hurry) await sleep(250)
      },
    })
    others = Promise.all(
      Array.from({ length: 99 }, (_, index) => {
        const leaveAt = index % 3 > 0 ? Infinity : index === 0 ? -1 : Math.random() * content.size
        return reader({ cache, content, source, leaveAt })
      }),
    )
    await others
    fast = performance.now() - started
    hurry = true
    await slow
    t.ok(readSlowly < content.size / 4, 'nobody waited for the slow one')
  })
  const outcomes = await others
  t.same(
    outcomes.filter(each => typeof each !== 'string'),
    [],
  )
  t.equal(countOf(outcomes, 'right'), 66)
  t.equal(countOf(outcomes, 'left'), 33)
  t.equal(await slow, 'right')
  t.ok(storage.sent <= content.size * 1.01)
  t.equal(storage.located, 1)
  // Those of a hundred readers, and of the stand-in, are among them.
  t.ok(growth.buffers <= 128 * MiB)
  t.equal(await cache.size(content.digest), content.size)
  t.comment(
    `upstream ${(storage.sent / content.size).toFixed(4)} times the blob in ${storage.requested} ranges; ` +
      `66 readers done after ${Math.round(fast)} ms; ` +
      `RSS at most +${Math.round(growth.rss / MiB)} MiB, of these buffers +${Math.round(growth.buffers / MiB)} MiB`,
  )
})

t.test('a thousand cuts, expiries and failures that no reader sees', async t => {
  const content = new Content(256 * MiB)
  const { cache, store, storage, events } = await stand(t, content, {
    partSize: MiB,
    random: () => Math.random() / 4,
  })
  // 20 MB/s a connection: a network that is faster than who reads it keeps bytes that nobody gets when it is cut.
  storage.pace = 3
  const faults = { cut: 0, expiry: 0, 'storage 5xx': 0, 'registry 5xx': 0 }
  const sum = (): number => Object.values(faults).reduce((total, count) => total + count)
  let lastCut = 0
  let opened = false
  storage.registryStatus = () => {
    if (!opened || sum() >= 1000 || Math.random() > 0.2) return 307
    faults['registry 5xx']++
    return 503
  }
  storage.fault = (_first, length) => {
    if (!opened || sum() >= 1000) return { kind: 'none' }
    if (storage.sent - lastCut >= 8 * MiB) {
      const after = Math.floor(Math.random() * length)
      lastCut = storage.sent + after
      faults.cut++
      return { kind: 'cut', after, rude: faults.cut % 2 === 0 }
    }
    const dice = Math.random()
    if (dice < 0.15) {
      faults.expiry++
      storage.expire()
      return { kind: 'status', status: 403 }
    }
    if (dice > 0.42) return { kind: 'none' }
    faults['storage 5xx']++
    return { kind: 'status', status: 503 }
  }
  const outcomes: Outcome[] = []
  let rounds = 0
  for (; sum() < 1000 && rounds < 40; rounds++) {
    opened = false
    const reading = [1, 2, 3].map(() => reader({ cache, content, source: storage.source }))
    const lease = await cache.lease(content.digest, storage.source, new AbortController().signal)
    opened = true
    const buffer = Buffer.alloc(1000)
    const position = Math.floor(Math.random() * (content.size - buffer.length))
    lease.want(position)
    const count = await lease.read(buffer, position, false, new AbortController().signal)
    t.ok(content.has(buffer.subarray(0, count), position))
    lease.release()
    outcomes.push(...(await Promise.all(reading)))
    await completed(events, rounds + 1)
    await store.remove(content.digest)
  }
  t.ok(sum() >= 1000)
  t.same(
    outcomes.filter(each => each !== 'right'),
    [],
  )
  const ratio = storage.sent / (content.size * rounds)
  t.ok(ratio <= 1.05)
  const repairs = events.filter(({ kind }) => kind === 'repaired').length
  t.comment(
    `${JSON.stringify(faults)}, ${repairs} repairs, ${rounds} downloads: upstream ${ratio.toFixed(4)} times the blob`,
  )
})

t.test('a download that fails at its end with two hundred waiting', async t => {
  const content = new Content(8 * MiB)
  const { cache, store, storage, events } = await stand(t, content, { partSize: MiB })
  const almost = Math.floor(content.size * 0.99)
  for (let round = 0; round < 10; round++) {
    const wrong = round % 2 === 1
    if (wrong)
      storage.corrupt = (bytes, position) => (position > almost ? Buffer.from(bytes).fill(0, 0, 1) : bytes)
    else {
      storage.fault = (first, length) => {
        if (first + length < content.size) return { kind: 'none' }
        storage.registryStatus = () => 404
        storage.expire()
        return { kind: 'cut', after: Math.max(0, almost - first), rude: false }
      }
    }
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, () => reader({ cache, content, source: storage.source })),
    )
    t.equal(outcomes.filter(each => each instanceof Error).length, 200)
    storage.corrupt = bytes => bytes
    storage.fault = () => ({ kind: 'none' })
    storage.registryStatus = () => 307
    const located = storage.located
    t.equal(await reader({ cache, content, source: storage.source }), 'right')
    t.equal(storage.located, located + 1, 'it was fetched anew')
    await completed(events, round + 1)
    await store.remove(content.digest)
  }
})
