import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Digest } from '../../../src/oci/digest.js'
import { openDiskStore, type DiskStore } from '../../../src/store/disk-store.js'
import { layoutOf, type Layout } from '../../../src/store/layout.js'
import { scrubProgressFile } from '../../../src/store/scrub-progress.js'
import { startScrub, type Scrub, type ScrubEvent, type ScrubOptions } from '../../../src/store/scrub.js'
import { blobOf, type TestBlob } from './blobs.js'
import { EagerClock } from './eager-clock.js'
import { WatchedFiles } from './watched-files.js'

export const SECOND = 1000
export const HOUR = 3600 * SECOND
export const DAY = 24 * HOUR
/** In milliseconds since 1970; where every test begins. */
export const BEGIN = 1_700_000_000_000

/** A store and its scrub, one life of a process: another stand on the same directory is the next. */
export interface ScrubStand {
  readonly layout: Layout
  readonly store: DiskStore
  readonly watched: WatchedFiles
  /** Stands still at noon of its second day, unless told otherwise. */
  readonly clock: EagerClock
  readonly events: readonly ScrubEvent[]
  /** Starts the scrub: every day, with 20 MiB/s. */
  readonly start: (options?: Partial<ScrubOptions>) => Promise<Scrub>
  /** Resolves when the scrub has told this so many times; gives the last. */
  readonly told: (kind: ScrubEvent['kind'], times?: number) => Promise<ScrubEvent>
  /** Waits until this is so, whatever it depends on. */
  readonly until: (is: () => boolean) => Promise<void>
}

export interface ScrubStandOptions {
  readonly directory: string
  /** Milliseconds that have passed since the tests' beginning. */
  readonly passed?: number
  readonly maxSize?: number
}

/** A directory that is removed after all that the test tears down later. */
export function cacheDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'scrub-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

export async function scrubStand(
  t: Test,
  { directory, passed = 0, maxSize = 1 << 30 }: ScrubStandOptions = { directory: cacheDirectory(t) },
): Promise<ScrubStand> {
  const clock = new EagerClock(1.5 * DAY)
  const watched = new WatchedFiles(() => clock.now())
  const layout = layoutOf(directory)
  const store = await openDiskStore({ directory, maxSize, minFree: { bytes: 0 } }, watched.files)
  t.teardown(() => store.close())
  const events: ScrubEvent[] = []
  const until = async (is: () => boolean): Promise<void> => {
    for (const since = Date.now(); !is();) {
      if (Date.now() - since > 60_000) throw new Error(`Nothing more happens at ${clock.now()} ms.`)
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  return {
    layout,
    store,
    watched,
    clock,
    events,
    until,
    start: async options => {
      const scrub = await startScrub({
        store,
        file: scrubProgressFile(watched.files, layout),
        every: DAY,
        rate: 20 * 1024 * 1024,
        clock,
        now: () => BEGIN + passed + clock.now(),
        onEvent: event => void events.push(event),
        ...options,
      })
      t.teardown(() => scrub.stop())
      return scrub
    },
    told: async (kind, times = 1) => {
      const told = (): ScrubEvent | undefined => events.filter(event => event.kind === kind)[times - 1]
      await until(() => told() !== undefined)
      return told() as ScrubEvent
    },
  }
}

/** Blobs in the order in which a scrub comes to them, each a byte larger than another. */
export function someBlobs(count: number, size: number): TestBlob[] {
  return Array.from({ length: count }, (_, seed) => blobOf(seed, size + seed)).sort((a, b) =>
    a.digest < b.digest ? -1 : 1,
  )
}

/** In the order in which a scrub comes to them. */
export function digestsOf(blobs: readonly TestBlob[]): Digest[] {
  return blobs.map(({ digest }) => digest).sort()
}

/** In bytes, of all together. */
export function sizeOf(blobs: readonly TestBlob[]): number {
  return blobs.reduce((sum, { bytes }) => sum + bytes.length, 0)
}

/** The digests whose blobs were found bad. */
export function foundBad(events: readonly ScrubEvent[]): Digest[] {
  return events.flatMap(event => (event.kind === 'mismatch' ? [event.digest] : []))
}

export function flipBit(file: string, bit: number): void {
  const bytes = readFileSync(file)
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  writeFileSync(file, bytes)
}

export function fails(code: string): never {
  throw Object.assign(new Error(`${code}: made up`), { code })
}
