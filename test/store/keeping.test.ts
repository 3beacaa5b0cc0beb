import t, { type Test } from 'tap'
import { createBlobCache, type BlobCache, type BlobCacheEvent } from '../../src/store/blob-cache.js'
import type { Capture } from '../../src/store/capture.js'
import { DigestMismatch } from '../../src/store/lease.js'
import { blobOf } from './support/blobs.js'
import { FakeClock, settled } from './support/fake-clock.js'
import { MemorySource } from './support/memory-source.js'
import { MemoryStore } from './support/memory-store.js'
import { never, readAll, readUntilFailure } from './support/reading.js'

const { bytes, digest } = blobOf('pushed', 700_000)
const wrong = blobOf('another', 700_000).bytes

interface Stand {
  readonly cache: BlobCache
  readonly store: MemoryStore
  readonly clock: FakeClock
  readonly source: MemorySource
  readonly events: BlobCacheEvent[]
  /** Lets all commits go on, those that wait and those to come. */
  readonly commit: () => void
}

/** A cache whose commits wait, and which leaves nothing behind: no timer, no ingest, no hold. */
function test(name: string, body: (t: Test, stand: Stand) => Promise<void>): void {
  t.test(name, async t => {
    const store = new MemoryStore()
    const clock = new FakeClock()
    const events: BlobCacheEvent[] = []
    let commit: () => void = () => undefined
    const committing = new Promise<void>(resolve => (commit = resolve))
    store.beforeCommit = () => committing
    const cache = createBlobCache({ store, verify: 'first', clock, onEvent: event => events.push(event) })
    await body(t, { cache, store, clock, source: new MemorySource({ bytes }), events, commit })
    commit()
    await cache.close()
    await settled()
    t.equal(clock.pending, 0, 'no timer is left')
    t.equal(store.ingests, 0, 'no ingest is left')
    t.equal(store.held, 0, 'no stored blob is held')
  })
}

async function pushed(cache: BlobCache, content: Buffer): Promise<Capture> {
  const capture = cache.capture()
  if (!capture) throw new Error('the cache is closed')
  await capture.write(content)
  return capture
}

const kinds = (events: readonly BlobCacheEvent[]): string[] => events.map(({ kind }) => kind)

test('who asks for a blob that was just pushed waits until it is stored', async (t, stand) => {
  const { cache, source, events, commit } = stand
  cache.keep(digest, await pushed(cache, bytes))
  t.equal(await cache.knows(digest), true)
  const asking = Array.from({ length: 10 }, () => cache.lease(digest, source, never))
  await settled()
  t.same(events, [])
  commit()
  for (const lease of await Promise.all(asking)) {
    t.equal(lease.result, 'hit')
    t.ok((await readAll(lease)).equals(bytes))
    lease.release()
  }
  t.same(source.opens, [])
  t.same(events, [{ kind: 'captured', digest, size: bytes.length }])
})

test('who waits may leave', async (t, { cache, source, store }) => {
  cache.keep(digest, await pushed(cache, bytes))
  const leaving = new AbortController()
  const asking = cache.lease(digest, source, leaving.signal)
  await settled()
  leaving.abort(new Error('gone'))
  await t.rejects(asking, { message: 'gone' })
  t.equal(store.ingests, 1, 'the push is kept all the same')
})

test('what takes too long to be stored is downloaded', async (t, { cache, clock, source, commit, store }) => {
  cache.keep(digest, await pushed(cache, bytes))
  const asking = cache.lease(digest, source, never)
  await clock.advance(4999)
  t.same(source.opens, [])
  await clock.advance(1)
  const lease = await asking
  t.equal(lease.result, 'miss')
  t.ok((await readAll(lease)).equals(bytes))
  lease.release()
  commit()
  await settled()
  t.ok(store.blobs.get(digest)?.bytes.equals(bytes))
})

test('a push that turns out to be wrong leaves the blob to be downloaded', async (t, stand) => {
  const { cache, source, events, commit } = stand
  commit()
  cache.keep(digest, await pushed(cache, wrong))
  const lease = await cache.lease(digest, source, never)
  t.equal(lease.result, 'miss')
  t.ok((await readAll(lease)).equals(bytes))
  lease.release()
  t.match(events[0], { kind: 'capture dropped', bytes: wrong.length, error: DigestMismatch })
})

test('a push that is stored while the store is being asked is found', async (t, stand) => {
  const { cache, store, source, commit } = stand
  commit()
  const capture = await pushed(cache, bytes)
  let asked = 0
  store.beforeOpen = async () => {
    if (asked++ > 0) return
    cache.keep(digest, capture)
    await settled()
  }
  const lease = await cache.lease(digest, source, never)
  t.equal(lease.result, 'hit')
  t.same(source.opens, [])
  lease.release()
})

test('nobody waits for a push of what is stored already', async (t, { cache, store, source }) => {
  store.blobs.set(digest, { bytes, verified: true })
  cache.keep(digest, await pushed(cache, bytes))
  const lease = await cache.lease(digest, source, never)
  t.equal(lease.result, 'hit')
  lease.release()
  t.equal(store.ingests, 1)
})

test('of several pushes of a blob the first that is right is kept', async (t, stand) => {
  const { cache, source, events, commit, store } = stand
  let commits = 0
  const { beforeCommit } = store
  store.beforeCommit = async () => {
    commits++
    await beforeCommit()
  }
  for (const content of [wrong, bytes, bytes]) cache.keep(digest, await pushed(cache, content))
  commit()
  const lease = await cache.lease(digest, source, never)
  t.equal(lease.result, 'hit')
  t.ok((await readAll(lease)).equals(bytes))
  lease.release()
  await settled()
  t.equal(commits, 1)
  t.same(kinds(events), ['capture dropped', 'captured', 'capture dropped'])
})

test('a push takes the place of a blob that was found bad and could not be set aside', async (t, stand) => {
  const { cache, source, store, commit } = stand
  commit()
  store.failing.add('setAside')
  store.blobs.set(digest, { bytes: wrong, verified: false })
  const bad = await cache.lease(digest, source, never)
  t.match(await readUntilFailure(bad), { error: DigestMismatch })
  bad.release()
  cache.keep(digest, await pushed(cache, bytes))
  await settled()
  const lease = await cache.lease(digest, source, never)
  t.equal(lease.result, 'hit')
  t.ok((await readAll(lease)).equals(bytes))
  lease.release()
  t.same(source.opens, [])
})

test('a store in trouble costs the push nothing and the next pull a download', async (t, stand) => {
  const { cache, source, store, events, commit } = stand
  commit()
  store.failing.add('commit')
  cache.keep(digest, await pushed(cache, bytes))
  const lease = await cache.lease(digest, source, never)
  t.equal(lease.result, 'miss')
  t.ok((await readAll(lease)).equals(bytes))
  lease.release()
  t.match(events[0], { kind: 'capture dropped', error: { code: 'ECOMMIT' } })
})

test('closing gives up what is being pushed, and takes no more', async (t, { cache, store, events }) => {
  await pushed(cache, bytes)
  const late = await pushed(cache, bytes)
  store.beforeCommit = async () => undefined
  await cache.close()
  t.equal(store.ingests, 0)
  t.same(kinds(events), ['capture dropped', 'capture dropped'])
  t.equal(cache.capture(), undefined)
  cache.keep(digest, late)
  await settled()
  t.equal(store.blobs.size, 0)
})

test('closing waits for what is being stored', async (t, { cache, store, commit }) => {
  cache.keep(digest, await pushed(cache, bytes))
  await settled()
  let closed = false
  const closing = cache.close().then(() => (closed = true))
  await settled()
  t.equal(closed, false)
  commit()
  await closing
  t.ok(store.blobs.has(digest))
  t.equal(store.held, 0)
})
