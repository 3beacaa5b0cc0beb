import fc from 'fast-check'
import t from 'tap'
import { digestOf } from '../../src/oci/digest.js'
import { OciError } from '../../src/oci/error.js'
import { createBlobCache } from '../../src/store/blob-cache.js'
import { CacheTrouble } from '../../src/store/blob-store.js'
import { DigestMismatch, type Lease } from '../../src/store/lease.js'
import { FakeClock, settled } from './support/fake-clock.js'
import { MemorySource, type Stream } from './support/memory-source.js'
import { MemoryStore } from './support/memory-store.js'

/**
 * The reference. It knows a download as the set of bytes that were given, whether it ended, and how; what a reader
 * must get follows from that.
 */
const SIZE = 200 * 1024
const TAIL = 64 * 1024
const PART = 24 * 1024
const SEED = 20261123

const content = Buffer.alloc(SIZE)
for (let index = 0; index < SIZE; index++) content[index] = (index * 31 + (index >> 8) * 17) & 0xff
const digest = digestOf(content)
const wrongContent = Buffer.from(content)
wrongContent[0] = 255 - (content[0] ?? 0)

/** How often downloads ended how, so that the sequences are known to get anywhere. */
const seen = { right: 0, mismatch: 0, refused: 0, trouble: 0, resumed: 0 }

type State = 'none' | 'filling' | 'stored'
type Failure = 'mismatch' | 'refused' | 'trouble'

class Download {
  readonly there = new Uint8Array(SIZE)
  received = 0
  failure: Failure | undefined
  verified = false

  readonly wrong: boolean

  /** Only its first byte may be wrong, which may be there already. */
  constructor(wrong: boolean, earlier?: Download) {
    if (earlier) this.there.set(earlier.there)
    this.received = earlier?.received ?? 0
    this.wrong = earlier?.there[0] === 1 ? earlier.wrong : wrong
  }

  /** The end of what is there from `position` on. */
  readableTo(position: number): number {
    const gap = this.there.indexOf(0, position)
    return gap === -1 ? SIZE : gap
  }
}

interface Reader {
  readonly lease: Lease
  readonly download: Download
  readonly whole: boolean
  position: number
  readonly client: AbortController
}

class Rig {
  readonly store = new MemoryStore()
  readonly clock = new FakeClock()
  readonly cache = createBlobCache({
    store: this.store,
    verify: 'first',
    parts: 3,
    partSize: PART,
    clock: this.clock,
    random: () => 0.5,
  })
  source: MemorySource | undefined
  readers: Reader[] = []
  // The model.
  state: State = 'none'
  download: Download | undefined
  /** What an interrupted download left. */
  kept: Download | undefined
  idleSince: number | undefined
  silentSince = 0

  async join(whole: boolean, position: number, wrong: boolean): Promise<void> {
    const source = new MemorySource({ bytes: wrong ? wrongContent : content, manual: true })
    const client = new AbortController()
    const failing = this.store.failing.has('ingest') && this.state === 'none'
    this.checkKept()
    const asked = this.cache.lease(digest, source, client.signal)
    if (failing) {
      await check(asked, 'trouble')
      await settled()
      equal(source.live.size, 0, 'streams of a download that could not begin')
      return
    }
    const lease = await asked
    equal(lease.result, { none: 'miss', filling: 'join', stored: 'hit' }[this.state], 'result')
    if (this.state === 'none') {
      this.state = 'filling'
      this.source = source
      if (this.kept) seen.resumed++
      this.download = new Download(wrong, this.kept)
      this.kept = undefined
      this.silentSince = this.clock.now()
    }
    this.idleSince = undefined
    if (!whole) lease.want(position)
    if (this.download) {
      this.readers.push({ lease, client, whole, position: whole ? 0 : position, download: this.download })
    }
    await settled()
  }

  leave(index: number, politely: boolean): void {
    const reader = this.readers[index % this.readers.length]
    if (!reader) return
    if (!politely) reader.client.abort(new Error('gone'))
    reader.lease.release()
    this.readers = this.readers.filter(each => each !== reader)
    this.idle()
  }

  idle(): void {
    const used = this.readers.some(({ download }) => download === this.download)
    if (this.state === 'filling' && !used) this.idleSince ??= this.clock.now()
  }

  /** What a reader gets next, by the model and in truth. */
  async read(index: number, length: number): Promise<void> {
    const reader = this.readers[index % this.readers.length]
    if (!reader) return
    const { download, whole, position } = reader
    const end = Math.min(download.readableTo(position), whole && !download.verified ? SIZE - TAIL : SIZE)
    const buffer = Buffer.alloc(length)
    const look = new AbortController()
    const reading = reader.lease.read(buffer, position, whole, look.signal)
    if (download.failure === 'mismatch') return check(reading, 'mismatch')
    if (end > position) {
      const count = await reading
      equal(count, Math.min(length, end - position), 'bytes that were read')
      const bytes = download.wrong ? wrongContent : content
      equal(bytes.subarray(position, position + count).equals(buffer.subarray(0, count)), true, 'the bytes')
      reader.position += count
      return
    }
    if (position === SIZE && (!whole || download.verified)) {
      equal(await reading, 0, 'the end')
      return
    }
    if (download.failure) return check(reading, download.failure)
    await settled(2)
    look.abort(new Error('still waiting'))
    await check(reading, 'waiting')
  }

  pick(index: number): Stream | undefined {
    const streams = [...(this.source?.live ?? [])].filter(({ body }) => !body.destroyed)
    return streams[index % Math.max(1, streams.length)]
  }

  /** A stream that has more to give than the last byte of the blob. */
  unfinished(): number {
    if (this.state !== 'filling') return -1
    const streams = [...(this.source?.live ?? [])].filter(({ body }) => !body.destroyed)
    return streams.findIndex(({ first, last, given }) => first + given < Math.min(last + 1, SIZE - PART / 2))
  }

  async give(index: number, count: number): Promise<void> {
    const stream = this.pick(index)
    const { source, download } = this
    if (!stream || !source || !download) return
    const from = stream.first + stream.given
    source.give(stream, count)
    const given = stream.first + stream.given - from
    await settled()
    this.silentSince = this.clock.now()
    if (this.store.failing.has('write')) {
      this.over('trouble')
      return
    }
    download.there.fill(1, from, from + given)
    download.received += given
    if (download.received < SIZE) return
    if (download.wrong) {
      this.over('mismatch')
      return
    }
    download.verified = true
    seen.right++
    this.state = this.store.failing.has('commit') ? 'none' : 'stored'
    if (this.state === 'none') this.download = undefined
  }

  over(failure: Failure, interrupted = false): void {
    seen[failure]++
    this.kept = interrupted && this.download?.received !== 0 ? this.download : undefined
    if (this.download) this.download.failure = failure
    this.state = 'none'
    this.download = undefined
    this.source = undefined
    this.idleSince = undefined
  }

  async cut(index: number, how: 'reset' | 'end' | 'lost' | 'refused'): Promise<void> {
    const stream = this.pick(index)
    const { source } = this
    if (!stream || !source) return
    if (how === 'lost' || how === 'refused') source.losePlaces()
    if (how === 'refused') source.openErrors.push(new OciError('DENIED', 'no'))
    if (how === 'end') source.endEarly(stream)
    else source.cut(stream)
    // Beyond the longest pause before a further try.
    await this.wait(3100)
    if (how !== 'refused') return
    if (this.state === 'filling') this.over('refused')
    // It may have been refused before nobody had wanted it for long enough.
    if (!this.store.suspended.has(digest)) this.kept = undefined
  }

  async wait(ms: number): Promise<void> {
    const end = this.clock.now() + ms
    const { download } = this
    const far = (download?.received ?? 0) >= SIZE / 4
    const abandonedAt = this.idleSince === undefined || far ? Infinity : this.idleSince + 5000
    const silentAt = this.state === 'filling' ? this.silentSince + 30_000 : Infinity
    await this.clock.advance(ms)
    if (this.state !== 'filling' || Math.min(abandonedAt, silentAt) > end) return
    this.over('refused', true)
  }

  checkKept(): void {
    const there = new Uint8Array(SIZE)
    for (const { first, last } of this.store.suspended.get(digest)?.present ?? [])
      there.fill(1, first, last + 1)
    equal(this.store.suspended.has(digest), this.kept !== undefined, 'kept')
    if (this.kept) equal(Buffer.compare(there, this.kept.there), 0, 'what of it')
  }

  async settleUp(): Promise<void> {
    equal(await this.cache.knows(digest), this.state !== 'none', 'knows')
    this.checkKept()
    await this.cache.close()
    if (this.state === 'filling' && this.download?.received !== 0) this.kept = this.download
    this.checkKept()
    for (const { lease } of this.readers) lease.release()
    await settled()
    equal(this.clock.pending, 0, 'timers left')
    equal(this.store.ingests, 0, 'ingests left')
    equal(this.store.held, 0, 'blobs held')
    equal(this.source?.live.size ?? 0, 0, 'streams left')
  }
}

function equal(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)} instead of ${String(expected)}`)
}

async function check(promise: Promise<unknown>, expected: Failure | 'waiting'): Promise<void> {
  const error = await promise.then(
    value => new Error(`${String(value)} instead of ${expected}`),
    (error: unknown) => error,
  )
  const kind =
    error instanceof DigestMismatch
      ? 'mismatch'
      : error instanceof CacheTrouble
        ? 'trouble'
        : error instanceof OciError
          ? 'refused'
          : error instanceof Error && error.message === 'still waiting'
            ? 'waiting'
            : String(error)
  equal(kind, expected, 'what a read ended with')
}

const number = fc.nat(20)
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('join'),
      whole: fc.boolean(),
      position: fc.nat(SIZE - 1),
      wrong: fc.nat(4),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('leave'), index: number, politely: fc.boolean() }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('read'),
      index: number,
      length: fc.integer({ min: 1, max: SIZE }),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('give'),
      index: number,
      count: fc.integer({ min: 1, max: PART }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('give all', 'give almost all') }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('cut'),
      index: number,
      how: fc.constantFrom('reset', 'end', 'lost', 'refused'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('wait'), ms: fc.constantFrom(100, 1000, 4000, 8000) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('trouble'),
      what: fc.constantFrom('ingest', 'write', 'commit'),
      on: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove') }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('leave for good') }) },
) as fc.Arbitrary<Step>

type Step =
  | { kind: 'join'; whole: boolean; position: number; wrong: number }
  | { kind: 'leave'; index: number; politely: boolean }
  | { kind: 'read'; index: number; length: number }
  | { kind: 'give'; index: number; count: number }
  | { kind: 'give all' | 'give almost all' | 'remove' | 'leave for good' }
  | { kind: 'cut'; index: number; how: 'reset' | 'end' | 'lost' | 'refused' }
  | { kind: 'wait'; ms: number }
  | { kind: 'trouble'; what: 'ingest' | 'write' | 'commit'; on: boolean }

async function play(rig: Rig, step: Step): Promise<void> {
  switch (step.kind) {
    case 'join':
      return rig.join(step.whole, step.position, step.wrong === 0)
    case 'leave':
      rig.leave(step.index, step.politely)
      return settled()
    case 'read':
      return rig.read(step.index, step.length)
    case 'give':
      return rig.give(step.index, step.count)
    case 'give all':
      while (rig.state === 'filling' && rig.pick(0)) await rig.give(0, PART * 2)
      return
    case 'give almost all':
      for (let index = rig.unfinished(); index >= 0; index = rig.unfinished()) await rig.give(index, PART - 1)
      return
    case 'cut':
      return rig.cut(step.index, step.how)
    case 'wait':
      return rig.wait(step.ms)
    case 'trouble':
      if (step.on) rig.store.failing.add(step.what)
      else rig.store.failing.delete(step.what)
      return
    case 'leave for good':
      while (rig.readers.length > 0) rig.leave(0, true)
      return rig.wait(8000)
    case 'remove':
      if (rig.state !== 'stored') return
      await rig.store.remove(digest)
      rig.state = 'none'
      rig.download = undefined
      rig.source = undefined
  }
}

t.test('whatever readers, the network and the disk do, readers get what a simple reference says', async t => {
  let steps = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async sequence => {
      const rig = new Rig()
      for (const each of sequence) {
        steps++
        await play(rig, each)
      }
      await rig.settleUp()
    }),
    { numRuns: 2000, seed: SEED },
  )
  t.ok(Object.values(seen).every(count => count > 50))
  t.comment(`2000 sequences of ${steps} steps in all, seed ${SEED}: 0 differences; ${JSON.stringify(seen)}`)
})
