import type { Test } from 'tap'
import { randomBytes } from 'node:crypto'
import { digestOf } from '../../src/oci/digest.js'
import { CacheTrouble } from '../../src/store/blob-store.js'
import { DigestMismatch } from '../../src/store/lease.js'
import {
  cacheStand,
  failureOf,
  kinds,
  leavingNothing,
  PART,
  refusal,
  type CacheStand,
} from './support/cache-stand.js'
import { settled } from './support/fake-clock.js'
import { MemorySource } from './support/memory-source.js'
import { MemoryStore } from './support/memory-store.js'
import { never, readAll, readUntilFailure } from './support/reading.js'

const KiB = 1024
const content = randomBytes(1000 * KiB + 17)
const digest = digestOf(content)

/** Begins a download of which the first `count` bytes of each of the first two parts arrive. */
async function beginTwoParts({ cache }: CacheStand, count: number) {
  const source = new MemorySource({ bytes: content, manual: true })
  const lease = await cache.lease(digest, source, never)
  await settled()
  for (const stream of source.live) {
    if (stream.first <= PART) source.give(stream, count)
  }
  await settled()
  return { source, lease }
}

const TWO_PARTS = [
  { first: 0, last: 4999 },
  { first: PART, last: PART + 4999 },
]

/** A store that keeps those two beginnings. */
async function interrupted(t: Test): Promise<MemoryStore> {
  const first = cacheStand()
  const { lease } = await beginTwoParts(first, 5000)
  await first.cache.close()
  lease.release()
  t.same(first.store.suspended.get(digest)?.present, TWO_PARTS)
  t.match(first.events.at(-1), { kind: 'fill suspended', size: content.length, received: 10_000 })
  return first.store
}

/** Whether a byte that was there was asked for again. */
function askedAgain({ opens, agains }: MemorySource): boolean {
  return [...opens, ...agains].some(({ first, last = Infinity }) =>
    TWO_PARTS.some(there => first <= there.last && there.first <= last),
  )
}

leavingNothing('a download that was interrupted goes on at the first byte that is missing', async t => {
  const { cache, events } = cacheStand(await interrupted(t))
  const source = new MemorySource({ bytes: content })
  const lease = await cache.lease(digest, source, never)
  t.equal(lease.result, 'miss')
  t.ok((await readAll(lease)).equals(content))
  lease.release()
  await settled()
  t.same(source.opens, [{ first: 5000, last: PART - 1 }], 'at most to where there is something again')
  t.notOk(askedAgain(source))
  t.equal(source.given, content.length - 10_000)
  t.match(events, [
    { kind: 'fill resumed', size: content.length, received: 10_000 },
    { kind: 'fill completed' },
  ])
})

leavingNothing('the first range that it opens is a part, not all that is missing', async t => {
  const store = new MemoryStore()
  const ingest = await store.ingest(content.length)
  await ingest.write(content.subarray(0, 7), 0)
  await ingest.suspend(digest, [{ first: 0, last: 6 }])
  await ingest.discard()
  const { cache } = cacheStand(store)
  const source = new MemorySource({ bytes: content })
  const lease = await cache.lease(digest, source, never)
  t.ok((await readAll(lease)).equals(content))
  t.same(source.opens, [{ first: 7, last: 7 + PART - 1 }])
  lease.release()
})

leavingNothing('what is there already is read at once, by who begins and who joins', async t => {
  const { cache } = cacheStand(await interrupted(t))
  const source = new MemorySource({ bytes: content, manual: true })
  const leases = [await cache.lease(digest, source, never), await cache.lease(digest, source, never)]
  t.same(
    leases.map(({ result }) => result),
    ['miss', 'join'],
  )
  for (const lease of leases) {
    const buffer = Buffer.alloc(PART)
    t.equal(await lease.read(buffer, 0, true, never), 5000)
    t.ok(buffer.subarray(0, 5000).equals(content.subarray(0, 5000)))
    t.equal(await lease.read(buffer, PART + 100, false, never), 4900)
    lease.release()
  }
})

leavingNothing(
  'nobody who wants it, a close and an upstream that is away each leave something to go on from',
  async t => {
    const ways: Record<string, (stand: CacheStand, source: MemorySource) => Promise<void>> = {
      abandoned: ({ clock }) => clock.advance(6000),
      closed: ({ cache }) => cache.close(),
      away: async ({ clock }, source) => {
        source.losePlaces()
        source.openErrors.push(...Array.from({ length: 100 }, () => refusal(503)))
        for (const stream of source.live) source.cut(stream)
        await clock.advance(40_000)
      },
      silent: ({ clock }) => clock.advance(40_000),
    }
    for (const [how, interrupt] of Object.entries(ways)) {
      const first = cacheStand()
      const { source, lease } = await beginTwoParts(first, 5000)
      if (how === 'abandoned') lease.release()
      await interrupt(first, source)
      await settled()
      t.same(first.store.suspended.get(digest)?.present, TWO_PARTS, how)
      t.equal(source.live.size, 0)
      lease.release()
    }
  },
)

leavingNothing('who asks again while the end of a download is being kept goes on from it', async t => {
  const { cache, store, clock } = cacheStand()
  const { lease } = await beginTwoParts({ cache, store, clock, events: [] }, 5000)
  const ended = readUntilFailure(lease)
  await clock.advance(31_000)
  const source = new MemorySource({ bytes: content })
  const again = await cache.lease(digest, source, never)
  t.match((await ended).error, { status: 504 })
  t.ok((await readAll(again)).equals(content))
  t.notOk(askedAgain(source))
  const buffer = Buffer.alloc(5000)
  t.equal(await lease.read(buffer, 0, false, never), 5000, 'the readers of the first one read on')
  t.ok(buffer.equals(content.subarray(0, 5000)))
  lease.release()
  again.release()
})

leavingNothing('an abandoned download is gone on with, however soon after', async t => {
  const { cache, store, clock } = cacheStand()
  let keep: () => void = () => undefined
  const keeping = new Promise<void>(resolve => (keep = resolve))
  const { lease } = await beginTwoParts({ cache, store, clock, events: [] }, 5000)
  store.beforeSuspend = () => keeping
  lease.release()
  await clock.advance(5100)
  const source = new MemorySource({ bytes: content })
  const again = cache.lease(digest, source, never)
  await settled()
  t.same(source.opens, [], 'it waits for what the other leaves')
  keep()
  const second = await again
  t.ok((await readAll(second)).equals(content))
  t.notOk(askedAgain(source))
  second.release()
})

leavingNothing('what was found wrong, or could not be written, leaves nothing', async t => {
  const wrong = Buffer.from(content)
  wrong[5] = (wrong[5] ?? 0) ^ 1
  const ways: Record<string, (stand: CacheStand, source: MemorySource) => Promise<void>> = {
    'a refusal': async (_, source) => {
      source.losePlaces()
      source.openErrors.push(...[1, 2, 3, 4].map(() => refusal(404)))
      for (const stream of source.live) source.cut(stream)
      await settled()
    },
    'something else': async (_, source) => {
      source.distort = opened => ({ ...opened, size: opened.size + 1 })
      for (const stream of source.live) source.cut(stream)
      await settled()
    },
    'a failing disk': async ({ store }, source) => {
      store.failing.add('write')
      for (const stream of source.live) source.give(stream, 10)
      await settled()
    },
  }
  for (const [what, end] of Object.entries(ways)) {
    const first = cacheStand()
    const { source, lease } = await beginTwoParts(first, 5000)
    const reading = readUntilFailure(lease)
    await end(first, source)
    await first.clock.advance(3000)
    t.ok((await reading).error, what)
    t.equal(first.store.suspended.size, 0, what)
    t.notOk(kinds(first.events).includes('fill suspended'))
    lease.release()
  }
  const { cache, store } = cacheStand()
  const lease = await cache.lease(digest, new MemorySource({ bytes: wrong }), never)
  t.ok((await readUntilFailure(lease)).error instanceof DigestMismatch)
  lease.release()
  await settled()
  t.equal(store.suspended.size, 0)
})

leavingNothing('of a download of which nothing arrived nothing is kept', async t => {
  const { cache, store } = cacheStand()
  const lease = await cache.lease(digest, new MemorySource({ bytes: content, manual: true }), never)
  await cache.close()
  lease.release()
  t.equal(store.suspended.size, 0)
})

leavingNothing('who is refused, or not answered, leaves what others can go on from', async t => {
  const store = await interrupted(t)
  const { cache } = cacheStand(store)
  for (const status of [401, 403, 404, 503]) {
    const source = new MemorySource({ bytes: content })
    source.openErrors.push(refusal(status))
    t.match(await failureOf(cache.lease(digest, source, never)), { status })
    await settled()
    t.same(source.opens, [{ first: 5000, last: PART - 1 }], 'who asks is to be shown the blob by the source')
    t.same(store.suspended.get(digest)?.present, TWO_PARTS)
  }
  const unheard = cacheStand(store)
  const silent = new MemorySource({ bytes: content })
  silent.open = (_, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error))
    })
  const waiting = unheard.cache.lease(digest, silent, never)
  const refused = failureOf(waiting)
  await unheard.clock.advance(31_000)
  t.match(await refused, { status: 504 })
  await settled()
  t.same(store.suspended.get(digest)?.present, TWO_PARTS)
  const closing = unheard.cache.lease(digest, silent, never)
  const ended = t.rejects(closing, CacheTrouble)
  await settled()
  await unheard.cache.close()
  await ended
  t.same(store.suspended.get(digest)?.present, TWO_PARTS)
})

leavingNothing(
  'when all is there but the verdict, the source is asked for no more than its last byte',
  async t => {
    const first = cacheStand()
    let hashed: () => void = () => undefined
    const hashing = new Promise<void>(resolve => (hashed = resolve))
    first.store.beforeIngestRead = position => (position === 0 ? hashing : Promise.resolve())
    const lease = await first.cache.lease(digest, new MemorySource({ bytes: content }), never)
    await settled()
    const closed = first.cache.close()
    hashed()
    await closed
    lease.release()
    t.same(first.store.suspended.get(digest)?.present, [{ first: 0, last: content.length - 1 }])

    first.store.beforeIngestRead = async () => undefined
    const second = cacheStand(first.store)
    const refused = new MemorySource({ bytes: content })
    refused.openErrors.push(refusal(404))
    t.match(
      await failureOf(second.cache.lease(digest, refused, never)),
      { status: 404 },
      'it is asked all the same',
    )
    const source = new MemorySource({ bytes: content })
    const again = await second.cache.lease(digest, source, never)
    t.ok((await readAll(again)).equals(content))
    again.release()
    await settled()
    t.same(source.opens, [{ first: content.length - 1, last: content.length - 1 }])
    t.same(source.agains, [])
    t.same(kinds(second.events), ['fill resumed', 'fill completed'])
  },
)

leavingNothing(
  'wrong bytes that were kept are found by the digest, and the next download begins anew',
  async t => {
    const store = await interrupted(t)
    const kept = store.suspended.get(digest)
    if (kept) kept.bytes[77] = (kept.bytes[77] ?? 0) ^ 1
    const { cache } = cacheStand(store)
    const lease = await cache.lease(digest, new MemorySource({ bytes: content }), never)
    const { count, error } = await readUntilFailure(lease)
    t.ok(error instanceof DigestMismatch)
    t.ok(count <= content.length - 64 * KiB, 'the end is held back')
    lease.release()
    await settled()
    t.equal(store.suspended.size, 0)
    const source = new MemorySource({ bytes: content })
    const again = await cache.lease(digest, source, never)
    t.ok((await readAll(again)).equals(content))
    t.same(source.opens, [{ first: 0, last: PART - 1 }])
    again.release()
  },
)

leavingNothing('wrong bytes that are found as the cache closes are not kept', async t => {
  const first = cacheStand()
  const wrong = Buffer.from(content)
  wrong[5] = (wrong[5] ?? 0) ^ 1
  const last = Math.floor((content.length - 1) / (512 * KiB)) * 512 * KiB
  let closed: Promise<void> = Promise.resolve()
  // After all that the hash waits for is there, a close does not keep it from a verdict.
  first.store.beforeIngestRead = async position => {
    if (position === last) closed = first.cache.close()
  }
  const lease = await first.cache.lease(digest, new MemorySource({ bytes: wrong }), never)
  await settled()
  await closed
  lease.release()
  t.equal(first.store.suspended.size, 0)
})

leavingNothing('a blob of another size is begun anew', async t => {
  const sources: Record<string, () => MemorySource> = {
    'a size that it tells': () => new MemorySource({ bytes: content }),
    'a range beyond its end': () => {
      const source = new MemorySource({ bytes: content })
      source.openErrors.push(refusal(416))
      return source
    },
  }
  for (const [how, make] of Object.entries(sources)) {
    const store = new MemoryStore()
    const ingest = await store.ingest(content.length + 500)
    await ingest.suspend(digest, [{ first: 0, last: 99 }])
    await ingest.discard()
    const { cache, events } = cacheStand(store)
    const source = make()
    const lease = await cache.lease(digest, source, never)
    t.equal(lease.size, content.length, how)
    t.ok((await readAll(lease)).equals(content))
    lease.release()
    await settled()
    t.same(source.opens, [
      { first: 100, last: 100 + PART - 1 },
      { first: 0, last: PART - 1 },
    ])
    t.same(kinds(events), ['fill started', 'fill completed'])
    t.equal(store.suspended.size, 0)
  }
})

leavingNothing('a source without ranges is read past what is there', async t => {
  const store = new MemoryStore()
  const ingest = await store.ingest(content.length)
  await ingest.write(content.subarray(0, 5000), 0)
  await ingest.suspend(digest, [{ first: 0, last: 4999 }])
  await ingest.discard()
  const { cache } = cacheStand(store)
  const source = new MemorySource({ bytes: content, whole: true })
  const lease = await cache.lease(digest, source, never)
  t.ok((await readAll(lease)).equals(content))
  t.equal(source.given, content.length, 'in one stream')
  lease.release()
})

leavingNothing('a store that cannot keep it loses what was received, and nothing else', async t => {
  const { cache, store, clock, events } = cacheStand()
  store.failing.add('suspend')
  const { lease } = await beginTwoParts({ cache, store, clock, events }, 5000)
  lease.release()
  await clock.advance(6000)
  await settled()
  t.equal(store.suspended.size, 0)
  t.match(events.at(-1), { kind: 'cache trouble' })
  const source = new MemorySource({ bytes: content })
  const again = await cache.lease(digest, source, never)
  t.ok((await readAll(again)).equals(content))
  again.release()
})
