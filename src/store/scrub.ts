import type { Digest } from '../oci/digest.js'
import { untilAborted } from '../until-aborted.js'
import { asError } from './as-error.js'
import type { BlobStore } from './blob-store.js'
import { pause, systemClock, type Clock } from './clock.js'
import { Pace } from './pace.js'
import { rehash } from './rehash.js'
import type { ScrubCounts, ScrubPass, ScrubProgress, ScrubProgressFile } from './scrub-progress.js'

export interface ScrubOptions {
  readonly store: BlobStore
  readonly file: ScrubProgressFile
  /** Milliseconds from the end of a pass to the beginning of the next. */
  readonly every: number
  /** Bytes that are read in a second, at most. */
  readonly rate: number
  readonly onEvent?: (event: ScrubEvent) => void
  readonly clock?: Clock
  /** The time in milliseconds since 1970. */
  readonly now?: () => number
}

/** What happens, for the log. */
export type ScrubEvent =
  /** `after` is the digest that the pass had come to when it was broken off. */
  | { readonly kind: 'scrub began'; readonly after: Digest | undefined }
  | { readonly kind: 'mismatch'; readonly digest: Digest; readonly where: 'store' }
  | { readonly kind: 'cache trouble'; readonly digest: Digest; readonly error: Error }
  /** How far it is cannot be noted, so that a restart begins further back; told once until it can be again. */
  | { readonly kind: 'scrub trouble'; readonly error: Error }
  /** `ms` from its beginning, with the time for which it was broken off. */
  | ({ readonly kind: 'scrub ended'; readonly ms: number } & ScrubCounts)

export interface ScrubState extends ScrubCounts {
  /** Whether a pass goes on. The counts are those since the start. */
  readonly running: boolean
  /** When the last pass ended, in milliseconds since 1970. */
  readonly ended: number | undefined
}

const NONE: ScrubCounts = { blobs: 0, bytes: 0, bad: 0, troubles: 0 }
/** Milliseconds after which progress is noted again; that much is done twice after a kill. */
const NOTE_AFTER = 10_000
/** In milliseconds; Node's timers hold no more than 24 days. */
const LONGEST_PAUSE = 86_400_000

/** Begins to scrub a store, going on from where an earlier process was. */
export async function startScrub(options: ScrubOptions): Promise<Scrub> {
  return new Scrub(options, await options.file.read())
}

/**
 * Hashes again all that is stored, pass after pass, in the order of the digests, so that a bit that the disk lost is
 * found before somebody wants it. It is nobody's reader: it goes at its own pace, holds one blob at a time, and counts
 * as no use of it.
 */
export class Scrub {
  readonly #options: ScrubOptions
  readonly #clock: Clock
  readonly #now: () => number
  readonly #pace: Pace
  readonly #stopping = new AbortController()
  readonly #over: Promise<void>
  #progress: ScrubProgress
  /** The progress that is in the file. */
  #noted: ScrubProgress | undefined
  #notedAt: number
  #troubled = false
  #counts = NONE
  #running = false

  /** `noted` is the progress that is in the file. */
  constructor(options: ScrubOptions, noted: ScrubProgress | undefined) {
    const { rate, clock = systemClock, now = Date.now } = options
    this.#options = options
    this.#clock = clock
    this.#now = now
    this.#pace = new Pace(rate, clock)
    this.#progress = noted ?? { since: now() }
    this.#noted = noted
    this.#notedAt = clock.now()
    this.#over = this.#run()
  }

  state(): ScrubState {
    return { ...this.#counts, running: this.#running, ended: this.#progress.ended }
  }

  /** Ends it where it is, and notes that. Nothing is held afterwards. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('The scrub was stopped.'))
    await this.#over
  }

  async #run(): Promise<void> {
    try {
      for (;;) {
        await this.#note()
        await this.#due()
        await this.#pass()
      }
    } catch (error) {
      if (!this.#stopping.signal.aborted) this.#tell({ kind: 'scrub trouble', error: asError(error) })
    }
    this.#running = false
    await this.#note()
  }

  /** Waits for the time of the next pass; a pass that was broken off goes on at once. */
  async #due(): Promise<void> {
    const { since, ended = since, pass } = this.#progress
    if (pass) return
    const { every } = this.#options
    // A clock that was set back puts it off no further than a pass that ended just now.
    const wait = Math.min(every, ended + every - this.#now())
    for (let left = wait; left > 0; left -= LONGEST_PAUSE) {
      await pause(this.#clock, Math.min(left, LONGEST_PAUSE), this.#stopping.signal)
    }
  }

  async #pass(): Promise<void> {
    let pass: ScrubPass = this.#progress.pass ?? { began: this.#now(), counts: NONE }
    this.#running = true
    this.#tell({ kind: 'scrub began', after: pass.last })
    const digests = await untilAborted(this.#digestsAfter(pass.last), this.#stopping.signal)
    for (const digest of digests) {
      const more = await this.#look(digest)
      this.#counts = sum(this.#counts, more)
      pass = { began: pass.began, last: digest, counts: sum(pass.counts, more) }
      this.#progress = { ...this.#progress, pass }
      if (this.#clock.now() - this.#notedAt >= NOTE_AFTER) await this.#note()
    }
    const ended = this.#now()
    this.#progress = { since: this.#progress.since, ended }
    this.#running = false
    this.#tell({ kind: 'scrub ended', ms: ended - pass.began, ...pass.counts })
  }

  async #digestsAfter(last: Digest | undefined): Promise<Digest[]> {
    const digests: Digest[] = []
    for await (const { digest } of this.#options.store.list()) {
      if (last === undefined || digest > last) digests.push(digest)
    }
    return digests.sort()
  }

  /** What one digest adds to the counts. Throws the signal's reason. */
  async #look(digest: Digest): Promise<ScrubCounts> {
    const { signal } = this.#stopping
    try {
      const done = await rehash(this.#options.store, digest, this.#pace, signal)
      if (!done) return NONE
      const { size, bad } = done
      if (bad) this.#tell({ kind: 'mismatch', digest, where: 'store' })
      return { blobs: 1, bytes: size, bad: bad ? 1 : 0, troubles: 0 }
    } catch (error) {
      signal.throwIfAborted()
      this.#tell({ kind: 'cache trouble', digest, error: asError(error) })
      return { ...NONE, troubles: 1 }
    }
  }

  /** Writes down how far it is, if that has changed. */
  async #note(): Promise<void> {
    const progress = this.#progress
    if (progress === this.#noted) return
    this.#notedAt = this.#clock.now()
    try {
      await this.#options.file.write(progress)
      this.#noted = progress
      this.#troubled = false
    } catch (error) {
      if (!this.#troubled) this.#tell({ kind: 'scrub trouble', error: asError(error) })
      this.#troubled = true
    }
  }

  #tell(event: ScrubEvent): void {
    this.#options.onEvent?.(event)
  }
}

function sum(one: ScrubCounts, other: ScrubCounts): ScrubCounts {
  return {
    blobs: one.blobs + other.blobs,
    bytes: one.bytes + other.bytes,
    bad: one.bad + other.bad,
    troubles: one.troubles + other.troubles,
  }
}
