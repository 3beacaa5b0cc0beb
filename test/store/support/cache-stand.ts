import t, { type Test } from 'tap'
import { OciError } from '../../../src/oci/error.js'
import {
  createBlobCache,
  type BlobCache,
  type BlobCacheEvent,
  type BlobCacheOptions,
} from '../../../src/store/blob-cache.js'
import { FakeClock, settled } from './fake-clock.js'
import { MemoryStore } from './memory-store.js'

/** A cache over a store in memory, by a clock that stands still. */
export interface CacheStand {
  readonly cache: BlobCache
  readonly store: MemoryStore
  readonly clock: FakeClock
  /** All that it told, in order. */
  readonly events: BlobCacheEvent[]
}

/** Bytes of a range that such a cache downloads at a time. */
export const PART = 100 * 1024

const stands: CacheStand[] = []

/** A cache over `store`, which a restart keeps; to be used in a test of `leavingNothing`. */
export function cacheStand(store = new MemoryStore(), options: Partial<BlobCacheOptions> = {}): CacheStand {
  const clock = new FakeClock()
  const events: BlobCacheEvent[] = []
  const cache = createBlobCache({
    store,
    verify: 'first',
    partSize: PART,
    parts: 4,
    clock,
    random: () => 0.5,
    onEvent: event => events.push(event),
    ...options,
  })
  const stand = { cache, store, clock, events }
  stands.push(stand)
  return stand
}

/** A test whose caches leave nothing behind: no timer, no ingest, no hold. */
export function leavingNothing(name: string, body: (t: Test) => Promise<void>): void {
  t.test(name, async t => {
    await body(t)
    const used = stands.splice(0)
    for (const { cache } of used) await cache.close()
    await settled()
    for (const { clock, store } of used) {
      t.equal(clock.pending, 0, 'no timer is left')
      t.equal(store.ingests, 0, 'no ingest is left')
      t.equal(store.held, 0, 'no stored blob is held')
    }
  })
}

/** What a promise is rejected with; undefined when it is not. */
export function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  )
}

export const kinds = (events: readonly BlobCacheEvent[]): string[] => events.map(({ kind }) => kind)

export const refusal = (status: number): OciError => new OciError('UNKNOWN', 'no', { status })
