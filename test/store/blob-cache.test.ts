import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { digestOf } from '../../src/oci/digest.js'
import type { BlobCacheOptions } from '../../src/store/blob-cache.js'
import type { BlobSource } from '../../src/store/blob-source.js'
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
import { MemorySource, type MemorySourceOptions } from './support/memory-source.js'
import { MemoryStore } from './support/memory-store.js'
import { never, readAll, readUntilFailure } from './support/reading.js'

const KiB = 1024
const TAIL = 64 * KiB
const content = randomBytes(1000 * KiB + 17)
const digest = digestOf(content)

interface Stand extends CacheStand {
  readonly source: MemorySource
}

function stand(source: Partial<MemorySourceOptions> = {}, options: Partial<BlobCacheOptions> = {}): Stand {
  return {
    ...cacheStand(new MemoryStore(), options),
    source: new MemorySource({ bytes: content, ...source }),
  }
}

const corrupted = (): Buffer => {
  const bytes = Buffer.from(content)
  bytes[5] = (bytes[5] ?? 0) ^ 1
  return bytes
}

/** The only stream, or the one from `first` on. */
function streamOf(source: MemorySource, first?: number) {
  const stream = [...source.live].find(each => first === undefined || each.first === first)
  if (!stream) throw new Error(`no stream from ${first}`)
  return stream
}

/** Gives all that is asked for until nothing is any more. */
async function giveAll(source: MemorySource): Promise<void> {
  while (source.live.size > 0) {
    for (const stream of source.live) source.give(stream, 64 * KiB)
    await settled()
  }
}

leavingNothing('a blob is downloaded once, in ranges, and is a hit afterwards', async t => {
  const { cache, store, source, events } = stand()
  const lease = await cache.lease(digest, source, never)
  t.equal(lease.result, 'miss')
  t.equal(lease.size, content.length)
  t.ok((await readAll(lease)).equals(content))
  lease.release()
  await settled()
  t.same(source.opens, [{ first: 0, last: PART - 1 }])
  t.equal(source.agains.length, 9, 'a crumb is no range of its own')
  t.equal(source.given, content.length)
  t.equal(store.held, 0)
  const hit = await cache.lease(digest, source, never)
  t.equal(hit.result, 'hit')
  t.ok((await readAll(hit)).equals(content))
  hit.release()
  t.equal(source.opens.length, 1)
  t.same(kinds(events), ['fill started', 'fill completed'])
})

leavingNothing('downloads can be looked at as they go on, and what they fetched counts for ever', async t => {
  const { cache, source } = stand({ manual: true })
  t.same(cache.downloads(), [])
  const [lease, other] = await Promise.all([
    cache.lease(digest, source, never),
    cache.lease(digest, source, never),
  ])
  await settled()
  source.give(streamOf(source, 0), 1000)
  await settled()
  t.same(cache.downloads(), [{ digest, size: content.length, received: 1000, readers: 2 }])
  t.equal(cache.fetched, 1000)
  other.release()
  t.match(cache.downloads(), [{ readers: 1 }])
  const reading = readAll(lease)
  await giveAll(source)
  await reading
  lease.release()
  await settled()
  t.same(cache.downloads(), [])
  t.equal(cache.fetched, content.length)
  const hit = await cache.lease(digest, source, never)
  hit.release()
  t.equal(cache.fetched, content.length, 'what is stored is not fetched again')
})

leavingNothing('however many ask, one download feeds all', async t => {
  const { cache, source, events } = stand({ manual: true })
  const asking = Array.from({ length: 50 }, () => cache.lease(digest, source, never))
  const leases = await Promise.all(asking)
  t.equal(leases.filter(({ result }) => result === 'miss').length, 1)
  t.equal(leases.filter(({ result }) => result === 'join').length, 49)
  const reading = leases.map(lease => readAll(lease))
  await settled()
  await giveAll(source)
  t.ok((await Promise.all(reading)).every(bytes => bytes.equals(content)))
  t.equal(source.opens.length, 1)
  t.equal(source.given, content.length)
  t.equal(kinds(events).filter(kind => kind === 'fill joined').length, 49)
  leases.forEach(lease => lease.release())
})

leavingNothing('no more ranges than allowed are under way at a time', async t => {
  const { cache, source } = stand({ manual: true })
  const lease = await cache.lease(digest, source, never)
  await settled()
  t.equal(source.live.size, 4)
  source.give(streamOf(source, 0), PART)
  await settled()
  t.equal(source.live.size, 4)
  t.ok([...source.live].some(({ first }) => first === 4 * PART))
  lease.release()
})

leavingNothing('bytes are readable as they arrive', async t => {
  const { cache, source } = stand({ manual: true })
  const lease = await cache.lease(digest, source, never)
  const buffer = Buffer.alloc(10)
  const reading = lease.read(buffer, 0, true, never)
  source.give(streamOf(source, 0), 3)
  t.equal(await reading, 3)
  t.ok(buffer.subarray(0, 3).equals(content.subarray(0, 3)))
  lease.release()
})

leavingNothing('a range ahead is fetched at once, beyond the usual number of ranges', async t => {
  const { cache, source } = stand({ manual: true })
  const lease = await cache.lease(digest, source, never)
  await settled()
  const position = 800 * KiB
  lease.want(position + 5)
  await settled()
  t.equal(source.live.size, 5)
  source.give(streamOf(source, position), 100)
  const buffer = Buffer.alloc(1000)
  t.equal(await lease.read(buffer, position + 5, false, never), 95)
  t.ok(buffer.subarray(0, 95).equals(content.subarray(position + 5, position + 100)))
  lease.release()
})

leavingNothing('the next ranges are those nearest ahead of readers', async t => {
  const { cache, source } = stand({ manual: true }, { parts: 1 })
  const lease = await cache.lease(digest, source, never)
  lease.want(500 * KiB)
  await settled()
  source.give(streamOf(source, 500 * KiB), PART)
  await settled()
  source.give(streamOf(source, 0), PART)
  await settled()
  t.ok([...source.live].some(({ first }) => first === 600 * KiB))
  lease.release()
})

leavingNothing('a source without ranges is one stream', async t => {
  const { cache, source } = stand({ whole: true })
  const lease = await cache.lease(digest, source, never)
  t.ok((await readAll(lease)).equals(content))
  t.equal(source.agains.length, 0)
  t.equal(source.given, content.length)
  lease.release()
})

leavingNothing(
  'a source without ranges that breaks off begins anew, and what is there is passed over',
  async t => {
    const { cache, source, events } = stand({ whole: true, manual: true })
    const lease = await cache.lease(digest, source, never)
    const reading = readAll(lease)
    source.give(streamOf(source), 300 * KiB)
    await settled()
    source.cut(streamOf(source))
    await settled()
    await giveAll(source)
    t.ok((await reading).equals(content))
    t.ok(kinds(events).includes('repaired'))
    lease.release()
  },
)

leavingNothing('an empty blob', async t => {
  const empty = digestOf(Buffer.alloc(0))
  for (const source of [new MemorySource({ bytes: Buffer.alloc(0) }), new MemorySource({ bytes: content })]) {
    const { cache } = stand()
    // Storage has no range of nothing to give.
    if (source.bytes === content) source.openErrors.push(refusal(416))
    const lease = await cache.lease(empty, source, never)
    t.equal(lease.size, 0)
    t.equal(await lease.read(Buffer.alloc(1), 0, true, never), 0)
    lease.release()
    await settled()
    t.equal(await cache.size(empty), 0)
    t.ok(await cache.knows(empty))
  }
})

leavingNothing('nothing for what should be something is a failure', async t => {
  const { cache, source } = stand()
  source.openErrors.push(refusal(416))
  t.match(await failureOf(cache.lease(digest, source, never)), { status: 502 })
})

leavingNothing('a small blob is held back until its digest is right', async t => {
  const bytes = randomBytes(1000)
  const { cache } = stand()
  const source = new MemorySource({ bytes, manual: true })
  const lease = await cache.lease(digestOf(bytes), source, never)
  let got: Buffer | undefined
  const reading = readAll(lease).then(all => (got = all))
  source.give(streamOf(source), 999)
  await settled()
  t.equal(got, undefined)
  source.give(streamOf(source), 1)
  t.ok((await reading).equals(bytes))
  lease.release()
})

leavingNothing('what breaks off goes on from the last good byte', async t => {
  const ways: Record<string, (source: MemorySource) => void> = {
    'a reset': source => source.cut(streamOf(source, 0)),
    'an end that comes early': source => source.endEarly(streamOf(source, 0)),
  }
  for (const [name, breakOff] of Object.entries(ways)) {
    const { cache, source, events } = stand({ manual: true })
    const lease = await cache.lease(digest, source, never)
    const reading = readAll(lease)
    source.give(streamOf(source, 0), 1234)
    await settled()
    breakOff(source)
    await settled()
    t.same(source.agains.at(-1), { first: 1234, last: PART - 1 }, name)
    t.match(events.at(-1), { kind: 'repaired', position: 1234 })
    await giveAll(source)
    t.ok((await reading).equals(content))
    t.equal(source.opens.length, 1)
    t.equal(source.given, content.length)
    lease.release()
  }
})

leavingNothing('a range that stalls is asked for again', async t => {
  const { cache, source, clock } = stand({ manual: true })
  const lease = await cache.lease(digest, source, never)
  const reading = readAll(lease)
  await settled()
  source.give(streamOf(source, 0), 1234)
  const others = [...source.live].filter(({ first }) => first !== 0)
  for (let second = 0; second < 11; second++) {
    for (const stream of others) source.give(stream, 1)
    await clock.advance(1000)
  }
  t.same(source.agains.at(-1), { first: 1234, last: PART - 1 })
  await giveAll(source)
  t.ok((await reading).equals(content))
  lease.release()
})

leavingNothing('when the place is lost the registry is asked once for all', async t => {
  const { cache, source } = stand({ manual: true })
  const lease = await cache.lease(digest, source, never)
  const reading = readAll(lease)
  await settled()
  source.losePlaces()
  // As long as the others need to find the place lost too.
  source.beforeOpen = () => settled(4)
  for (const stream of source.live) source.give(stream, 10)
  await settled()
  for (const stream of source.live) source.cut(stream)
  await settled()
  t.equal(source.opens.length, 2)
  t.equal(source.live.size, 4)
  await giveAll(source)
  t.ok((await reading).equals(content))
  lease.release()
})

leavingNothing('while the registry fails it is asked again with growing pauses', async t => {
  const { cache, source, clock } = stand({ manual: true })
  const lease = await cache.lease(digest, source, never)
  const reading = readAll(lease)
  await settled()
  source.losePlaces()
  source.openErrors.push(...Array.from({ length: 5 }, () => refusal(503)))
  for (const stream of source.live) source.cut(stream)
  await clock.advance(10_000)
  t.equal(source.live.size, 4)
  await giveAll(source)
  t.ok((await reading).equals(content))
  lease.release()
})

leavingNothing('without a byte for too long the download is given up', async t => {
  const { cache, source, clock, events } = stand({ manual: true }, { stall: 60_000 })
  const lease = await cache.lease(digest, source, never)
  source.give(streamOf(source, 0), 1000)
  const reading = readUntilFailure(lease)
  await clock.advance(29_000)
  t.ok(await cache.knows(digest))
  await clock.advance(2000)
  const { count, error } = await reading
  t.equal(count, 1000)
  t.match(error, { status: 504 })
  t.notOk(await cache.knows(digest))
  t.same(kinds(events).slice(-2), ['fill failed', 'fill suspended'])
  lease.release()
})

leavingNothing('a registry that refuses in the middle ends the download', async t => {
  for (const status of [401, 403, 404]) {
    const { cache, source } = stand({ manual: true })
    const lease = await cache.lease(digest, source, never)
    await settled()
    const reading = readUntilFailure(lease)
    source.losePlaces()
    source.openErrors.push(refusal(status))
    source.give(streamOf(source, 0), 10)
    await settled()
    source.cut(streamOf(source, 0))
    t.match((await reading).error, { status })
    lease.release()
    const next = new MemorySource({ bytes: content })
    const again = await cache.lease(digest, next, never)
    t.equal(again.result, 'miss')
    t.ok((await readAll(again)).equals(content))
    again.release()
  }
})

leavingNothing('a source that cannot be relied on ends the download', async t => {
  const lies: Record<string, (source: MemorySource) => void> = {
    'another size': source => (source.distort = opened => ({ ...opened, size: opened.size + 1 })),
    'another beginning': source => (source.distort = opened => ({ ...opened, first: opened.first + 1 })),
    'an end before the asked one': source =>
      (source.distort = opened => ({ ...opened, last: opened.last - 1 })),
    'more than announced': source =>
      (source.distort = opened => ({
        ...opened,
        body: Readable.from([Buffer.alloc(opened.last - opened.first + 2)]),
      })),
  }
  for (const [name, lie] of Object.entries(lies)) {
    const { cache, source, store } = stand({ manual: true }, { parts: 1 })
    const lease = await cache.lease(digest, source, never)
    const reading = readUntilFailure(lease)
    source.give(streamOf(source, 0), 1000)
    await settled()
    lie(source)
    source.cut(streamOf(source, 0))
    const { count, error } = await reading
    t.match(error, { status: 502 }, name)
    t.equal(count, 1000)
    lease.release()
    await settled()
    t.equal(store.blobs.size, 0)
  }
})

leavingNothing('a source that opens with something else is refused', async t => {
  for (const wrong of [{ first: 1 }, { last: 5 }, { size: -5 }]) {
    const { cache, source } = stand()
    source.distort = opened => ({ ...opened, ...wrong })
    t.match(await failureOf(cache.lease(digest, source, never)), { status: 502 })
  }
})

leavingNothing('bytes that are not what the digest says', async t => {
  const { cache, store, events } = stand()
  const source = new MemorySource({ bytes: corrupted(), manual: true })
  const lease = await cache.lease(digest, source, never)
  const other = await cache.lease(digest, source, never)
  await settled()
  const whole = readUntilFailure(lease)
  const range = readUntilFailure(other, { first: 100 * KiB, whole: false })
  await giveAll(source)
  t.ok((await whole).error instanceof DigestMismatch)
  t.ok((await whole).count <= content.length - TAIL, 'the end is held back')
  const cut = await range
  t.ok(cut.error instanceof DigestMismatch || cut.count === content.length - 100 * KiB)
  t.equal(store.blobs.size, 0)
  t.match(events.at(-1), { kind: 'mismatch', where: 'upstream' })
  await t.rejects(other.read(Buffer.alloc(1), 0, false, never), DigestMismatch)
  const good = await cache.lease(digest, new MemorySource({ bytes: content }), never)
  t.equal(good.result, 'miss')
  t.ok((await readAll(good)).equals(content))
  for (const each of [lease, other, good]) each.release()
})

leavingNothing('the end is revealed before the blob is stored, and when it cannot be', async t => {
  const { cache, store, source, events } = stand()
  store.failing.add('commit')
  const lease = await cache.lease(digest, source, never)
  t.ok((await readAll(lease)).equals(content))
  await settled()
  t.match(events.at(-1), { kind: 'cache trouble' })
  t.ok((await readAll(lease)).equals(content), 'it is read on')
  lease.release()
  await settled()
  t.equal(store.ingests, 0)
  t.notOk(await cache.knows(digest))
})

leavingNothing('when the store cannot take it the caller learns that, and nothing is left open', async t => {
  const { cache, store, source } = stand({ manual: true })
  store.failing.add('ingest')
  await t.rejects(cache.lease(digest, source, never), CacheTrouble)
  await settled()
  t.equal(source.live.size, 0)
  store.failing.clear()
  store.failing.add('open')
  await t.rejects(cache.lease(digest, source, never), CacheTrouble)
})

leavingNothing('when writing fails readers keep what is there', async t => {
  const { cache, store, source, events } = stand({ manual: true })
  const lease = await cache.lease(digest, source, never)
  source.give(streamOf(source, 0), 5000)
  await settled()
  store.failing.add('write')
  source.give(streamOf(source, 0), 5000)
  await settled()
  t.equal(source.live.size, 0, 'nothing is downloaded any more')
  const { count, error } = await readUntilFailure(lease)
  t.equal(count, 5000)
  t.ok(error instanceof CacheTrouble)
  t.match(events.at(-1), { kind: 'cache trouble' })
  t.equal(store.ingests, 1)
  lease.release()
  await settled()
  t.equal(store.ingests, 0)
})

leavingNothing('who leaves ends nothing that others want', async t => {
  const { cache, source } = stand({ manual: true })
  const leaver = new AbortController()
  const first = await cache.lease(digest, source, leaver.signal)
  const other = await cache.lease(digest, source, never)
  const left = first.read(Buffer.alloc(1), 0, true, leaver.signal)
  const reading = readAll(other)
  leaver.abort(new Error('gone'))
  await t.rejects(left, { message: 'gone' })
  first.release()
  first.release()
  await giveAll(source)
  t.ok((await reading).equals(content))
  await t.rejects(first.read(Buffer.alloc(1), 0, true, never), { message: /released/ })
  other.release()
})

leavingNothing('the first may leave before the source has answered', async t => {
  const { cache, source } = stand()
  let answer: () => void = () => undefined
  source.beforeOpen = () => new Promise(resolve => (answer = resolve))
  const leaver = new AbortController()
  const first = cache.lease(digest, source, leaver.signal)
  await settled()
  const second = cache.lease(digest, source, never)
  leaver.abort(new Error('gone'))
  await t.rejects(first, { message: 'gone' })
  await settled()
  answer()
  const lease = await second
  t.equal(lease.result, 'join')
  t.ok((await readAll(lease)).equals(content))
  lease.release()
  t.equal(source.opens.length, 1)
})

leavingNothing('for nobody it goes on for a while, or to its end when much of it is there', async t => {
  const little = stand({ manual: true })
  const lease = await little.cache.lease(digest, little.source, never)
  little.source.give(streamOf(little.source, 0), 50 * KiB)
  lease.release()
  await little.clock.advance(4900)
  t.ok(await little.cache.knows(digest))
  await little.clock.advance(200)
  t.notOk(await little.cache.knows(digest))
  t.equal(little.source.live.size, 0)
  t.match(little.events.at(-2), { kind: 'fill abandoned', received: 50 * KiB })

  const much = stand({ manual: true })
  const other = await much.cache.lease(digest, much.source, never)
  await settled()
  for (const stream of much.source.live) much.source.give(stream, PART)
  other.release()
  await much.clock.advance(6000)
  await giveAll(much.source)
  t.equal(await much.cache.size(digest), content.length)
  t.match(much.events.at(-1), { kind: 'fill completed' })
})

leavingNothing('who comes in time is joined to what nobody wanted', async t => {
  const { cache, source, clock } = stand({ manual: true })
  const lease = await cache.lease(digest, source, never)
  lease.release()
  await clock.advance(4000)
  const late = await cache.lease(digest, source, never)
  t.equal(late.result, 'join')
  await clock.advance(9000)
  const reading = readAll(late)
  await giveAll(source)
  t.ok((await reading).equals(content))
  late.release()
})

leavingNothing('a refusal is for all readers of the repository that refused', async t => {
  const { cache } = stand()
  const sources = Array.from({ length: 3 }, () => new MemorySource({ bytes: content }))
  sources[0]!.openErrors.push(refusal(404))
  sources[1]!.openErrors.push(refusal(404))
  const asked = sources.map((source, index) =>
    cache.lease(
      digest,
      { origin: index < 2 ? 'gone' : 'there', open: (...args) => source.open(...args) },
      never,
    ),
  )
  for (const refused of asked.slice(0, 2)) t.match(await failureOf(refused), { status: 404 })
  const lease = await asked[2]!
  t.ok((await readAll(lease)).equals(content))
  lease.release()
  t.same(
    sources.map(({ opens }) => opens.length),
    [1, 0, 1],
  )
})

leavingNothing('a reader that may not begin a download is refused alone', async t => {
  const { cache, source } = stand()
  const refused: BlobSource = {
    admit: () => {
      throw refusal(503)
    },
    open: () => Promise.reject(new Error('It is not to be opened.')),
  }
  const asked = [refused, source, refused].map(each => cache.lease(digest, each, never))
  t.match(await failureOf(asked[0]!), { status: 503 })
  const leases = await Promise.all(asked.slice(1))
  t.same(
    leases.map(({ result }) => result),
    ['miss', 'join'],
  )
  for (const lease of leases) {
    t.ok((await readAll(lease)).equals(content))
    lease.release()
  }
})

leavingNothing('a refusal is for whom it was said', async t => {
  const { cache } = stand()
  const refused = new MemorySource({ bytes: content })
  let answer: () => void = () => undefined
  refused.beforeOpen = () => new Promise(resolve => (answer = resolve))
  refused.openErrors.push(refusal(404))
  const allowed = new MemorySource({ bytes: content })
  const first = cache.lease(digest, refused, never)
  await settled()
  const second = cache.lease(digest, allowed, never)
  answer()
  t.match(await failureOf(first), { status: 404 })
  const lease = await second
  t.equal(lease.result, 'miss')
  t.ok((await readAll(lease)).equals(content))
  lease.release()
})

leavingNothing('a failure to open is for all who wait', async t => {
  const { cache, source } = stand()
  source.openErrors.push(refusal(503))
  const asked = await Promise.allSettled([1, 2, 3].map(() => cache.lease(digest, source, never)))
  t.ok(asked.every(({ status }) => status === 'rejected'))
  t.equal(source.opens.length, 1)
})

leavingNothing('a stored blob is hashed on its first read, by one for all', async t => {
  const { cache, store, source } = stand()
  store.blobs.set(digest, { bytes: content, verified: false })
  let go: () => void = () => undefined
  const gate = new Promise<void>(resolve => (go = resolve))
  let hashed = 0
  store.beforeRead = position => {
    if (position !== 0 || hashed++ > 0) return Promise.resolve()
    return gate
  }
  const leases = await Promise.all([1, 2].map(() => cache.lease(digest, source, never)))
  t.same(
    leases.map(({ result }) => result),
    ['hit', 'hit'],
  )
  const first = leases[0]!
  const buffer = Buffer.alloc(content.length)
  t.equal(await first.read(buffer, 0, true, never), content.length - TAIL, 'all but the end at once')
  t.equal(await first.read(buffer, content.length - 10, false, never), 10, 'a range is not held back')
  const end = first.read(buffer, content.length - TAIL, true, never)
  await settled()
  go()
  t.equal(await end, TAIL)
  for (const lease of leases) lease.release()
  await settled()
  t.equal(store.held, 0)
  t.equal(hashed, 2)
  t.ok(store.blobs.get(digest)?.verified)
  const reads = store.reads
  const later = await cache.lease(digest, source, never)
  await settled()
  t.equal(store.reads, reads, 'it is not hashed again')
  later.release()
  t.equal(source.opens.length, 0)
})

leavingNothing('always means each time, and never means never', async t => {
  for (const [verify, expected] of [
    ['always', 2],
    ['never', 0],
  ] as const) {
    const { cache, store, source } = stand({}, { verify })
    store.blobs.set(digest, { bytes: content, verified: false })
    for (let time = 0; time < 2; time++) {
      const lease = await cache.lease(digest, source, never)
      await settled()
      lease.release()
    }
    t.equal(store.reads, expected * Math.ceil(content.length / (512 * KiB)))
    t.equal(store.held, 0)
  }
})

leavingNothing('a stored blob that is bad is cut, set aside and fetched anew', async t => {
  const { cache, store, source, events } = stand()
  store.blobs.set(digest, { bytes: corrupted(), verified: false })
  const lease = await cache.lease(digest, source, never)
  const { count, error } = await readUntilFailure(lease)
  t.ok(error instanceof DigestMismatch)
  t.ok(count <= content.length - TAIL)
  await t.rejects(lease.read(Buffer.alloc(1), 0, false, never), DigestMismatch)
  t.same(store.setAsides, [digest])
  t.match(events, [{ kind: 'mismatch', where: 'store' }])
  const again = await cache.lease(digest, source, never)
  t.equal(again.result, 'miss')
  t.ok((await readAll(again)).equals(content))
  lease.release()
  again.release()
  await settled()
  t.equal(store.held, 0)
})

leavingNothing('a bad blob that cannot be set aside is not served again', async t => {
  const { cache, store, source } = stand()
  store.blobs.set(digest, { bytes: corrupted(), verified: false })
  store.failing.add('setAside')
  const lease = await cache.lease(digest, source, never)
  t.ok((await readUntilFailure(lease)).error instanceof DigestMismatch)
  lease.release()
  t.notOk(await cache.knows(digest))
  store.failing.add('ingest')
  await t.rejects(cache.lease(digest, source, never), CacheTrouble)
  store.failing.delete('ingest')
  const again = await cache.lease(digest, source, never)
  t.equal(again.result, 'miss')
  t.ok((await readAll(again)).equals(content))
  again.release()
  await settled()
  const hit = await cache.lease(digest, source, never)
  t.equal(hit.result, 'hit')
  hit.release()
})

leavingNothing('a stored blob that is shorter than it should be is trouble, not an end', async t => {
  const { cache, store, source } = stand()
  store.blobs.set(digest, { bytes: content.subarray(0, 300 * KiB), verified: false })
  const lease = await cache.lease(digest, source, never)
  const { count, error } = await readUntilFailure(lease)
  t.ok(count <= 300 * KiB)
  t.ok(error instanceof DigestMismatch)
  lease.release()
})

leavingNothing('reading that fails is trouble, and the file is not used again', async t => {
  const { cache, store, source } = stand()
  store.blobs.set(digest, { bytes: content, verified: false })
  store.failing.add('read')
  const lease = await cache.lease(digest, source, never)
  t.ok((await readUntilFailure(lease)).error instanceof CacheTrouble)
  lease.release()
  await settled()
  t.same(store.setAsides, [digest])
})

leavingNothing('what another stored meanwhile is not downloaded again', async t => {
  const { cache, store, source } = stand()
  const opens: (() => void)[] = []
  store.beforeOpen = () => new Promise(resolve => opens.push(resolve))
  const slow = cache.lease(digest, source, never)
  await settled()
  const slowOpen = opens.shift()
  store.beforeOpen = async () => undefined
  const quick = await cache.lease(digest, source, never)
  t.ok((await readAll(quick)).equals(content))
  quick.release()
  await settled()
  slowOpen?.()
  const lease = await slow
  t.equal(lease.result, 'hit', 'it looked again')
  lease.release()
})

leavingNothing('closing gives up what is under way', async t => {
  const { cache, source, store } = stand({ manual: true })
  const lease = await cache.lease(digest, source, never)
  const reading = readUntilFailure(lease)
  await cache.close()
  t.ok((await reading).error instanceof CacheTrouble)
  t.equal(source.live.size, 0)
  t.equal(store.ingests, 0)
  await t.rejects(cache.lease(digest, source, never), CacheTrouble)
  lease.release()
})
