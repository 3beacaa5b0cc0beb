import { setMaxListeners } from 'node:events'
import { OciError } from '../oci/error.js'
import { asError } from './as-error.js'
import type { BlobSource, OpenedBlob } from './blob-source.js'
import { CacheTrouble } from './blob-store.js'
import { pause, watchSilence, type Clock } from './clock.js'
import type { Part, PartTable } from './part-table.js'
import { createPlace } from './place.js'
import { abandon, receive } from './receive.js'
import { somethingElse, Unrepairable } from './unrepairable.js'

export interface DownloadLimits {
  /** Ranges that are fetched at a time. */
  readonly parts: number
  /** Of such a range, in bytes. */
  readonly partSize: number
  /** Milliseconds without a byte after which a range is asked for again. */
  readonly stall: number
  /** Milliseconds without a new byte of the blob after which it is given up. */
  readonly noProgress: number
}

export interface DownloadOptions {
  readonly source: BlobSource
  /** The blob as it was opened, at the first byte that is missing. */
  readonly opened: OpenedBlob
  /** The part of the table that `opened` gives; undefined when nothing is missing. */
  readonly first: Part | undefined
  readonly table: PartTable
  /** Puts bytes where they belong. Throws CacheTrouble. */
  readonly write: (bytes: Uint8Array, position: number) => Promise<void>
  /** Where readers are; what is nearest ahead of them is fetched first. */
  readonly wanted: () => Iterable<number>
  readonly onGrown: () => void
  /** A range that broke off goes on at `position`. */
  readonly onRepaired: (position: number, error: unknown) => void
  readonly limits: DownloadLimits
  readonly clock: Clock
  readonly random: () => number
  readonly signal: AbortSignal
}

export interface Download {
  /**
   * Resolves when all bytes are there and nothing is under way any more. Throws what ended it, once nothing is being
   * written: CacheTrouble; Unrepairable for a registry that refuses or a source that cannot be relied on; the OciError
   * of an upstream that gave nothing for too long; or the signal's reason.
   */
  readonly done: Promise<void>
  /** A reader waits for the byte at `position`. */
  hurry(position: number): void
}

/** Connections beyond `parts`, for a range that a reader waits for and nobody fetches. */
const URGENT = 2
/** The longest wait before the first further try, and before any, in milliseconds. */
const BACKOFF = 100
const MAX_BACKOFF = 3000

/** Fetches all that is missing, several ranges at a time, and goes on from the last good byte whatever breaks off. */
export function startDownload(options: DownloadOptions): Download {
  const { source, opened, table, write, wanted, onGrown, onRepaired, limits, clock, random } = options
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])
  // Every range listens to it.
  setMaxListeners(0, signal)
  const place = createPlace(source, opened)
  const progress = watchSilence(clock, limits.noProgress, () => fail(gaveUp(lastTrouble)))
  let lanes = 0
  let lastTrouble: unknown
  let settle: () => void = () => undefined
  const settled = new Promise<void>(resolve => (settle = resolve))

  function fail(error: Error): void {
    stop.abort(error)
  }

  function fetch(part: Part, body?: OpenedBlob): void {
    lanes++
    fetchPart(part, body)
      .catch((error: unknown) => fail(asError(error)))
      .finally(() => {
        lanes--
        fetchMore()
        if (lanes === 0) settle()
      })
  }

  function fetchMore(): void {
    while (!signal.aborted && lanes < limits.parts) {
      const part = table.take(wanted(), limits.partSize)
      if (!part) return
      fetch(part)
    }
  }

  async function fetchPart(part: Part, body?: OpenedBlob): Promise<void> {
    let range = body
    let failures = 0
    let broken: { readonly error: unknown } | undefined
    while (part.first <= part.last) {
      const before = part.first
      try {
        range ??= await place.open({ first: part.first, last: part.last }, signal)
        if (broken) onRepaired(part.first, broken.error)
        broken = undefined
        await receivePart(part, range)
      } catch (error) {
        signal.throwIfAborted()
        if (error instanceof Unrepairable || error instanceof CacheTrouble) throw error
        if (part.first > part.last) return
        broken ??= { error }
        lastTrouble = error
        failures = part.first > before ? 0 : failures + 1
        // What gave something goes on at once.
        if (failures > 0) await pause(clock, waitAfter(error, failures), signal)
      }
      range = undefined
    }
  }

  /** As much of a part as an open range gives. It may give more, and what is before the part is passed over. */
  async function receivePart(part: Part, { size, first, last, body }: OpenedBlob): Promise<void> {
    if (size !== table.size || first > part.first || last < part.last) {
      abandon(body)
      throw new Unrepairable(somethingElse())
    }
    const stalled = watchSilence(clock, limits.stall, () => body.destroy(new Error('The body stalled.')))
    let position = first
    try {
      await receive(
        body,
        async bytes => {
          const wantedBytes = bytes.subarray(part.first - position, part.last + 1 - position)
          position += bytes.length
          if (position > last + 1) throw new Unrepairable(somethingElse())
          if (wantedBytes.length > 0) {
            await write(wantedBytes, part.first)
            table.advance(part, wantedBytes.length)
            progress.heard()
            onGrown()
          }
          stalled.heard()
          // Of a body that goes on beyond the part no more is read; else its end is, to leave the connection to others.
          return part.first <= part.last || position > last
        },
        signal,
      )
    } finally {
      stalled.end()
    }
    if (part.first <= part.last) throw new Error('The body ended early.')
  }

  function waitAfter(error: unknown, failures: number): number {
    const asked = error instanceof OciError && error.retryAfter !== undefined ? error.retryAfter * 1000 : 0
    return Math.min(MAX_BACKOFF, Math.max(asked, random() * BACKOFF * 2 ** failures))
  }

  async function run(): Promise<void> {
    if (options.first) fetch(options.first, opened)
    else abandon(opened.body)
    fetchMore()
    if (lanes > 0) await settled
    progress.end()
    signal.throwIfAborted()
  }

  return {
    done: run(),
    hurry(position) {
      if (signal.aborted || lanes >= limits.parts + URGENT || !table.isOpen(position)) return
      const part = table.take([position], limits.partSize)
      if (part) fetch(part)
    },
  }
}

function gaveUp(cause: unknown): OciError {
  if (cause instanceof OciError) return cause
  return new OciError('UNKNOWN', 'ecr-mirror: the upstream stopped sending the blob; try again.', {
    status: 504,
    cause,
  })
}
