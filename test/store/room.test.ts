import fc from 'fast-check'
import t from 'tap'
import { digestOf, type Digest } from '../../src/oci/digest.js'
import type { CacheTrouble } from '../../src/store/blob-store.js'
import { DiskIndex } from '../../src/store/disk-index.js'
import { openDiskStore } from '../../src/store/disk-store.js'
import { Room, type Reservation } from '../../src/store/room.js'
import { blobOf, fetchFrom, listed, putAll } from './support/blobs.js'

const BLOCK = 4096
const MAX = 40
const DISK = 60
const FLOOR = 10
const names = Array.from({ length: 30 }, (_, n) => digestOf(Buffer.from(String(n))))

interface Promised {
  blocks: number
  written: number
}

type Outcome = 'EFBIG' | 'ENOSPC' | 'ok'

/** What the room should do, in blocks and in the simplest words. */
class Model {
  /** Least recently used first. */
  stored: { name: number; blocks: number }[] = []
  held = new Set<number>()
  reserved: Promised[] = []
  strangers = 0

  get used(): number {
    return sum(this.stored.map(each => each.blocks))
  }
  get promised(): number {
    return sum(this.reserved.map(each => each.blocks))
  }
  get free(): number {
    return DISK - this.strangers - this.used - sum(this.reserved.map(each => each.written))
  }
  get unwritten(): number {
    return sum(this.reserved.map(each => each.blocks - each.written))
  }

  /** Evicts the oldest that nobody holds; false when there is none. */
  evict(): boolean {
    const at = this.stored.findIndex(each => !this.held.has(each.name))
    if (at < 0) return false
    this.stored.splice(at, 1)
    return true
  }

  reserve(blocks: number): Outcome {
    const file = { blocks: 0, written: 0 }
    const outcome = this.promise(file, blocks, 0)
    if (outcome === 'ok') this.reserved.push(file)
    return outcome
  }

  grow(file: Promised, blocks: number): Outcome {
    return blocks <= file.blocks ? 'ok' : this.promise(file, blocks, blocks)
  }

  private promise(file: Promised, blocks: number, ahead: number): Outcome {
    if (blocks > Math.min(MAX, DISK - FLOOR)) return 'EFBIG'
    const lacking = Math.max(0, blocks - file.blocks)
    let evicted = false
    while (this.used + this.promised + lacking > MAX || this.free - this.unwritten - lacking < FLOOR) {
      if (!this.evict()) return 'ENOSPC'
      evicted = true
    }
    const spare = Math.min(MAX - this.used - this.promised, this.free - this.unwritten - FLOOR) - lacking
    file.blocks += lacking + Math.min(ahead, spare)
    // What was not in the list yet is counted from now on.
    const counted = this.reserved.includes(file) ? 0 : file.blocks
    while (
      evicted &&
      (this.used + this.promised + counted > MAX * 0.95 || this.free - this.unwritten - counted < FLOOR) &&
      this.evict()
    );
    return 'ok'
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ what: fc.constant('reserve' as const), blocks: fc.integer({ min: 0, max: 45 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ what: fc.constant('reserve' as const), blocks: fc.integer({ min: 0, max: 8 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ what: fc.constant('grow' as const), blocks: fc.integer({ min: 0, max: 45 }) }),
  },
  { weight: 4, arbitrary: fc.record({ what: fc.constant('commit' as const), name: fc.nat(29) }) },
  {
    weight: 2,
    arbitrary: fc.record({ what: fc.constant('write' as const), blocks: fc.integer({ min: 1, max: 9 }) }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('discard' as const) }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('use' as const), name: fc.nat(29) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('hold' as const), name: fc.nat(29) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('letGo' as const), name: fc.nat(29) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('strangers' as const), blocks: fc.nat(25) }) },
)

t.test('room is made as a simple model says', async t => {
  const runs = Number(process.env.MODEL_RUNS ?? 1000)
  let evictions = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async steps => {
      const model = new Model()
      const index = new DiskIndex()
      const reservations: Reservation[] = []
      const room = new Room({
        index,
        maxSize: MAX * BLOCK,
        minFree: { bytes: FLOOR * BLOCK },
        space: async () => ({ blocks: DISK, bsize: BLOCK, bavail: free() }),
        evictable: digest => !model.held.has(names.indexOf(digest)),
        evict: async digest => {
          evictions++
          return index.forget(digest)
        },
      })
      const written: number[] = []
      const free = (): number => DISK - model.strangers - index.bytes / BLOCK - sum(written)
      for (const each of steps) {
        switch (each.what) {
          case 'reserve': {
            const result = await room.reserve(each.blocks * BLOCK).then(
              reservation => {
                reservations.push(reservation)
                written.push(0)
                return 'ok'
              },
              (error: unknown) => (error as CacheTrouble).code,
            )
            await room.settled()
            if (result !== model.reserve(each.blocks)) throw new Error(`${each.blocks} blocks: ${result}`)
            break
          }
          case 'grow': {
            const [growing, reservation] = [model.reserved[0], reservations[0]]
            if (!growing || !reservation) break
            const result = await reservation.grow(each.blocks * BLOCK - 1).then(
              () => 'ok',
              (error: unknown) => (error as CacheTrouble).code,
            )
            await room.settled()
            if (result !== model.grow(growing, each.blocks)) throw new Error(`to ${each.blocks}: ${result}`)
            break
          }
          case 'write': {
            const growing = model.reserved[0]
            if (!growing) break
            const more = Math.min(each.blocks, growing.blocks - growing.written)
            growing.written += more
            written[0] = growing.written
            reservations[0]?.wrote(more * BLOCK)
            break
          }
          case 'commit':
          case 'discard': {
            const growing = model.reserved.shift()
            if (!growing) break
            written.shift()
            reservations.shift()?.end()
            const name = each.what === 'commit' ? each.name : -1
            if (name < 0) break
            model.stored = model.stored.filter(other => other.name !== name)
            model.stored.push({ name, blocks: growing.blocks })
            index.use(nameOf(name), { size: 1, allocated: growing.blocks * BLOCK })
            break
          }
          case 'use': {
            const used = model.stored.find(other => other.name === each.name)
            if (!used) break
            model.stored = [...model.stored.filter(other => other !== used), used]
            index.use(nameOf(each.name), { size: 1, allocated: used.blocks * BLOCK })
            break
          }
          case 'hold':
            model.held.add(each.name)
            break
          case 'letGo':
            model.held.delete(each.name)
            break
          case 'strangers':
            model.strangers = Math.min(each.blocks, DISK - model.used - sum(written))
        }
        const order = index.inOrder().map(({ digest }) => names.indexOf(digest))
        same(
          order,
          model.stored.map(({ name }) => name),
        )
        if (index.bytes !== model.used * BLOCK) throw new Error('the bytes differ')
        if (room.reserved !== model.promised * BLOCK) throw new Error('the reserved bytes differ')
        if (index.bytes + room.reserved > MAX * BLOCK) throw new Error('there is more than there may be')
      }
    }),
    { numRuns: runs },
  )
  t.ok(evictions > runs, 'there was something to evict')
})

function nameOf(name: number): Digest {
  const digest = names[name]
  if (digest === undefined) throw new Error('no such name')
  return digest
}

function same(found: readonly number[], wanted: readonly number[]): void {
  if (String(found) !== String(wanted)) throw new Error(`stored ${String(found)}, not ${String(wanted)}`)
}

t.test('many that want room at once get no more than there is', async t => {
  const directory = t.testdir()
  const store = await openDiskStore({ directory, maxSize: 20 * BLOCK, minFree: { bytes: 0 } })
  t.teardown(() => store.close())
  const results = await Promise.allSettled(Array.from({ length: 30 }, () => store.ingest(BLOCK)))
  const ingests = results.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
  t.equal(ingests.length, 20)
  t.equal((await store.stats()).reservedBytes, 20 * BLOCK)
  for (const ingest of ingests) await ingest.discard()
  t.equal((await store.stats()).reservedBytes, 0)
})

t.test('a file of unknown size gets room as it grows, and gives back what it had too much', async t => {
  const directory = t.testdir()
  const store = await openDiskStore({ directory, maxSize: 100 * BLOCK, minFree: { bytes: 0 } })
  t.teardown(() => store.close())
  const reserved = async (): Promise<number> => (await store.stats()).reservedBytes / BLOCK
  const [kept, blob] = [blobOf('kept', 30 * BLOCK), blobOf('grown', 60 * BLOCK)]
  await putAll(store, kept)
  const ingest = await store.ingest(undefined)
  t.equal(await reserved(), 0)
  await ingest.write(blob.bytes.subarray(0, 3 * BLOCK), 0)
  t.equal(await reserved(), 6, 'as much again')
  await ingest.write(blob.bytes.subarray(3 * BLOCK, 6 * BLOCK), 3 * BLOCK)
  t.equal(await reserved(), 6)
  await ingest.write(blob.bytes.subarray(6 * BLOCK), 6 * BLOCK)
  t.equal(await reserved(), 70, 'no more than is free')
  t.same(await listed(store), [kept.digest])
  ;(await ingest.commit(blob.digest)).release()
  t.equal(await reserved(), 0)
  t.equal((await store.stats()).bytes, 90 * BLOCK)
  t.same(await fetchFrom(store, blob.digest), blob.bytes)

  const huge = await store.ingest(undefined)
  await t.rejects(huge.write(Buffer.alloc(1), 100 * BLOCK), { name: 'CacheTrouble', code: 'EFBIG' })
  await t.rejects(huge.commit(blob.digest), { code: 'EFBIG' }, 'it lacks something')
  await huge.discard()
  const held = await store.open(blob.digest)
  const late = await store.ingest(undefined)
  await late.write(Buffer.alloc(10 * BLOCK), 0)
  t.same(await listed(store), [kept.digest, blob.digest])
  await late.write(Buffer.alloc(BLOCK), 39 * BLOCK)
  t.same(await listed(store), [blob.digest], 'others go for what it needs')
  await t.rejects(late.write(Buffer.alloc(BLOCK), 40 * BLOCK), { code: 'ENOSPC' }, 'what is held stays')
  await late.discard()
  held?.release()
  t.equal(await reserved(), 0)
  t.equal((await store.stats()).writePaused, undefined, 'the disk itself is well')
})

t.test('many that grow at once get no more than there is', async t => {
  const directory = t.testdir()
  const store = await openDiskStore({ directory, maxSize: 20 * BLOCK, minFree: { bytes: 0 } })
  t.teardown(() => store.close())
  const ingests = await Promise.all(Array.from({ length: 30 }, () => store.ingest(undefined)))
  const results = await Promise.allSettled(ingests.map(ingest => ingest.write(Buffer.alloc(BLOCK), 0)))
  const written = results.filter(({ status }) => status === 'fulfilled').length
  t.ok(written >= 10 && written <= 20, `${written} of one block, with one ahead or none`)
  t.equal((await store.stats()).reservedBytes, 20 * BLOCK)
  await Promise.all(ingests.map(ingest => ingest.discard()))
  t.equal((await store.stats()).reservedBytes, 0)
})

t.test('a file that is given up while it grows takes no room, and is no trouble of the disk', async t => {
  const directory = t.testdir()
  const store = await openDiskStore({ directory, maxSize: 100 * BLOCK, minFree: { bytes: 0 } })
  t.teardown(() => store.close())
  for (let count = 0; count < 50; count++) {
    const ingest = await store.ingest(undefined)
    const writes = [0, 1, 2].map(block => ingest.write(Buffer.alloc(BLOCK), block * BLOCK))
    const results = Promise.allSettled(writes)
    if (count % 2 > 0) await new Promise(resolve => setImmediate(resolve))
    await ingest.discard()
    for (const result of await results) {
      if (result.status === 'rejected') t.match(result.reason, { code: 'ECANCELED' })
    }
  }
  const { reservedBytes, writeErrors, writePaused } = await store.stats()
  t.same(
    { reservedBytes, writeErrors, writePaused },
    { reservedBytes: 0, writeErrors: 0, writePaused: undefined },
  )
})

t.test('files on disk are evicted in the order of their last use, and a restart goes on with it', async t => {
  const options = { directory: t.testdir(), maxSize: 100 * BLOCK, minFree: { bytes: 0 } }
  const store = await openDiskStore(options)
  const blobs = Array.from({ length: 12 }, (_, seed) => blobOf(seed, 10 * BLOCK))
  const digests = blobs.map(blob => blob.digest)
  await putAll(store, ...blobs.slice(0, 10))
  await fetchFrom(store, nth(digests, 0))
  for (const blob of blobs.slice(10)) {
    await putAll(store, blob)
    await store.settled()
  }
  t.same(await listed(store), [...digests.slice(3, 10), nth(digests, 0), ...digests.slice(10)])
  await store.close()

  const smaller = await openDiskStore({ ...options, maxSize: 45 * BLOCK })
  t.teardown(() => smaller.close())
  await smaller.settled()
  const { bytes, entries } = await smaller.stats()
  t.same({ bytes, entries }, { bytes: 40 * BLOCK, entries: 4 }, 'a smaller size is kept from the start on')
})

t.test('what cannot be evicted does not keep others from it', async t => {
  const index = new DiskIndex()
  const [stuck, other] = [nameOf(0), nameOf(1)]
  for (const digest of [stuck, other]) index.use(digest, { size: 1, allocated: BLOCK })
  const room = new Room({
    index,
    maxSize: 2 * BLOCK,
    minFree: { bytes: 0 },
    space: async () => ({ blocks: DISK, bsize: BLOCK, bavail: DISK }),
    evictable: digest => digest !== stuck,
    evict: async digest => index.forget(digest),
  })
  const reservation = await room.reserve(1)
  await room.settled()
  t.same(
    index.inOrder().map(each => each.digest),
    [stuck],
  )
  reservation.end()
  reservation.end()
  t.equal(room.reserved, 0)
})

function nth(digests: readonly Digest[], position: number): Digest {
  const digest = digests[position]
  if (digest === undefined) throw new Error('no such digest')
  return digest
}

t.test('what is unfinished has a share, and makes way for what is not', async t => {
  const index = new DiskIndex()
  let now = 0
  const room = new Room({
    index,
    maxSize: 40 * BLOCK,
    minFree: { bytes: 0 },
    space: async () => ({ blocks: 1000, bsize: BLOCK, bavail: 1000 }),
    evictable: () => true,
    evict: async digest => index.forget(digest),
    clock: () => now,
  })
  const givenUp: string[] = []
  const begin = async (name: string, network: string): Promise<Reservation> => {
    const unfinished = {
      client: { network },
      giveUp: async () => {
        givenUp.push(name)
        reservation.end()
        return true
      },
    }
    const reservation = await room.reserve(0, { unfinished })
    return reservation
  }
  const [one, two] = [await begin('one', 'a'), await begin('two', 'b')]
  await one.grow(5 * BLOCK)
  t.equal(room.reserved, 10 * BLOCK, 'with as much ahead')
  await t.rejects(one.grow(11 * BLOCK), { code: 'EDQUOT' }, 'half of what is left of its half')
  await two.grow(5 * BLOCK)
  t.equal(room.reserved, 15 * BLOCK)
  const stored = nameOf(0)
  index.use(stored, { size: 1, allocated: 20 * BLOCK })

  const fill = await room.reserve(20 * BLOCK)
  await room.settled()
  t.same(givenUp, [], 'what is stored goes before what grows')
  t.equal(index.count, 0)
  const next = await room.reserve(10 * BLOCK)
  t.same(givenUp, ['one'], 'but what grows goes before nothing can be had, the oldest first')
  next.end()
  fill.end()

  index.use(stored, { size: 1, allocated: 34 * BLOCK })
  now += 60_000
  const last = await room.reserve(6 * BLOCK)
  await room.settled()
  t.same(
    [givenUp, index.count],
    [['one', 'two'], 1],
    'what does not grow any more goes before what is stored',
  )
  last.end()
  t.equal(room.reserved, 0)
  const again = await begin('three', 'a')
  await again.grow(10 * BLOCK)
  await t.rejects(again.grow(30 * BLOCK), { code: 'EDQUOT' })
  again.end()
  const whole = await room.reserve(40 * BLOCK)
  whole.end()
})
