import type { BlobCacheEvent } from '../../store/blob-cache-event.js'
import type { DiskStoreStats } from '../../store/disk-store-stats.js'
import type { ScrubEvent, ScrubState } from '../../store/scrub.js'
import type { Metrics } from '../metrics.js'
import { counter, gauge } from './read.js'

type Happened = BlobCacheEvent | ScrubEvent

const FILL_EVENTS: Partial<Readonly<Record<Happened['kind'], string>>> = {
  'fill started': 'started',
  'fill resumed': 'resumed',
  'fill joined': 'joined',
  'fill completed': 'completed',
  'fill suspended': 'suspended',
  'fill abandoned': 'abandoned',
  'fill failed': 'failed',
  repaired: 'repaired',
}
const CAPTURES: Partial<Readonly<Record<Happened['kind'], string>>> = {
  captured: 'kept',
  'capture dropped': 'dropped',
}

/** Counts what happens in the cache; gives what is to be told of it. */
export function cacheEventMetrics(metrics: Metrics): (event: Happened) => void {
  const fills = new Map(Object.values(FILL_EVENTS).map(event => [event, 0]))
  const captures = new Map(Object.values(CAPTURES).map(result => [result, 0]))
  const mismatches = new Map([
    ['store', 0],
    ['upstream', 0],
  ])
  const tell = (name: string, help: string, label: string, counts: ReadonlyMap<string, number>): void =>
    counter(metrics, {
      name,
      help,
      labels: [label],
      read: () => Array.from(counts, ([value, count]) => [{ [label]: value }, count]),
    })
  tell('cache_fill_events_total', 'Downloads into the cache, by what happened to them.', 'event', fills)
  tell('cache_captures_total', 'Blobs that were pushed, by whether the cache kept them.', 'result', captures)
  tell(
    'cache_integrity_failures_total',
    'Bytes that were not what their digest says, of those stored or those that an upstream sent.',
    'where',
    mismatches,
  )
  return event => {
    increment(fills, FILL_EVENTS[event.kind])
    increment(captures, CAPTURES[event.kind])
    if (event.kind === 'mismatch') increment(mismatches, event.where)
  }
}

function increment(counts: Map<string, number>, key: string | undefined): void {
  if (key !== undefined) counts.set(key, (counts.get(key) ?? 0) + 1)
}

/** How the disk is used, and what went wrong with it; all of it from one look at the store. */
export function diskMetrics(metrics: Metrics, stats: () => Promise<DiskStoreStats>): void {
  let looking: Promise<DiskStoreStats> | undefined
  const look = (): Promise<DiskStoreStats> =>
    (looking ??= stats().finally(() => {
      looking = undefined
    }))
  const tell = (
    kind: typeof gauge,
    name: string,
    help: string,
    of: (stats: DiskStoreStats) => number | undefined,
  ): void => kind(metrics, { name: `cache_${name}`, help, read: async () => of(await look()) })

  tell(gauge, 'size_bytes', 'What is stored, in bytes on the disk.', ({ bytes }) => bytes)
  tell(gauge, 'max_bytes', 'What may be stored.', ({ maxBytes }) => maxBytes)
  tell(gauge, 'reserved_bytes', 'Promised to blobs on their way in.', ({ reservedBytes }) => reservedBytes)
  tell(gauge, 'entries', 'Blobs that are stored.', ({ entries }) => entries)
  tell(gauge, 'disk_free_bytes', 'Free on the file system of the cache.', ({ freeBytes }) => freeBytes)
  tell(gauge, 'write_paused', 'Whether nothing is written for now, after trouble with the disk.', stats =>
    Number(stats.writePaused !== undefined),
  )
  tell(
    gauge,
    'indexed',
    'Whether all that is stored is known, as it is a while after a start.',
    ({ indexed }) => Number(indexed),
  )
  tell(counter, 'evictions_total', 'Blobs that were dropped to make room.', ({ evictions }) => evictions)
  tell(counter, 'evicted_bytes_total', 'Bytes that were dropped to make room.', stats => stats.evictedBytes)
  tell(counter, 'read_errors_total', 'Reads that the disk refused.', ({ readErrors }) => readErrors)
  tell(counter, 'write_errors_total', 'Writes that the disk refused.', ({ writeErrors }) => writeErrors)
}

/** How the scrub comes on. */
export function scrubMetrics(metrics: Metrics, state: () => ScrubState): void {
  gauge(metrics, {
    name: 'cache_scrub_running',
    help: 'Whether stored blobs are being hashed in the background.',
    read: () => Number(state().running),
  })
  gauge(metrics, {
    name: 'cache_scrub_last_end_timestamp_seconds',
    help: 'When all that is stored had last been hashed, in seconds since 1970; 0 before the first time.',
    read: () => (state().ended ?? 0) / 1000,
  })
  counter(metrics, {
    name: 'cache_scrubbed_bytes_total',
    help: 'Bytes that were hashed in the background.',
    read: () => state().bytes,
  })
}
