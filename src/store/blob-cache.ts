import { Budget } from '../budget.js'
import type { Digest } from '../oci/digest.js'
import type { Client } from '../shares.js'
import { asError } from './as-error.js'
import type { BlobCacheEvent } from './blob-cache-event.js'
import type { BlobSource } from './blob-source.js'
import { CacheTrouble, type BlobStore, type StoredBlob } from './blob-store.js'
import { Capture } from './capture.js'
import { systemClock, type Clock } from './clock.js'
import { Fill } from './fill.js'
import { Keeping } from './keeping.js'
import { DigestMismatch, type Lease } from './lease.js'
import { isRefusal } from './place.js'
import { Slots } from './slots.js'
import { StoredRead } from './stored-read.js'

export type { BlobCacheEvent } from './blob-cache-event.js'

export interface BlobCacheOptions {
  readonly store: BlobStore
  /** Whether stored bytes are hashed while they are read: once in the life of the process, every time, or never. */
  readonly verify: 'first' | 'always' | 'never'
  /** Ranges of one blob that are downloaded at a time. */
  readonly parts?: number
  /** Of such a range, in bytes. */
  readonly partSize?: number
  /** Downloads at a time; more wait their turn for a moment. */
  readonly fills?: Budget
  /** Milliseconds that a download goes on for nobody. */
  readonly idleFill?: number
  /** The share of the blob above which a download goes on for nobody to its end. */
  readonly keepAbove?: number
  /** Milliseconds without a byte after which one range of a download is asked for again. */
  readonly stall?: number
  /** Milliseconds without a byte after which a download that cannot be repaired is given up. */
  readonly noProgress?: number
  readonly onEvent?: (event: BlobCacheEvent) => void
  readonly clock?: Clock
  /** From 0 to 1, for the waits before further tries. */
  readonly random?: () => number
}

/** A download in progress, as it is now; sizes in bytes. */
export interface BlobDownload {
  readonly digest: Digest
  /** Undefined as long as its source has not told. */
  readonly size: number | undefined
  readonly received: number
  /** Those who read it, or wait to. */
  readonly readers: number
}

export interface BlobCache {
  /** Whether the bytes are stored or on their way; it does not say for whom. Throws CacheTrouble. */
  knows(digest: Digest): Promise<boolean>
  /** The stored size in bytes, without reading; undefined when it is not known. Throws CacheTrouble. */
  size(digest: Digest): Promise<number | undefined>
  /**
   * A hold on the blob: of the stored one (hit), of one being downloaded (join), or of a download begun from `source`
   * (miss), which belongs to nobody: it outlives `signal`, which is this reader's alone. It does not ask for whom: that
   * this reader may have the blob is proven before. Throws the source's OciError when there is nothing to be had,
   * CacheTrouble when the store cannot take it, and the signal's reason.
   */
  lease(digest: Digest, source: BlobSource, signal: AbortSignal): Promise<Lease>
  /** Downloads that wait for their turn. */
  readonly waiting: number
  /** Those in progress, and those that wait, the oldest first. */
  downloads(): BlobDownload[]
  /** Bytes that all downloads took from their sources so far. */
  readonly fetched: number
  /** Resolves when all that was downloaded to its end is stored, or cannot be. */
  settled(): Promise<void>
  /**
   * Takes the bytes of a client's push as they pass; nobody finds them before they are kept. Undefined once this is
   * closed.
   */
  capture(client?: Client): Capture | undefined
  /**
   * Stores a push that the upstream accepted under this digest, if its bytes have it. At once a `lease` of it waits for
   * that, within reason, rather than begin a download.
   */
  keep(digest: Digest, capture: Capture): void
  /** Gives up what is being pushed, and what is being downloaded, for a later start to go on from; reads throw. */
  close(): Promise<void>
}

/** Eight connections of the 40 MB/s that storage gives each are as much as one core takes in. */
const PARTS = 8
const PART_SIZE = 8 * 1024 * 1024

export function createBlobCache({
  store,
  verify,
  parts = PARTS,
  partSize = PART_SIZE,
  fills: budget = new Budget(Infinity),
  idleFill = 5000,
  keepAbove = 0.25,
  stall = 10_000,
  noProgress = 30_000,
  onEvent = () => undefined,
  clock = systemClock,
  random = Math.random,
}: BlobCacheOptions): BlobCache {
  const limits = { parts, partSize, idleFill, keepAbove, stall, noProgress }
  const slots = new Slots(budget, clock)
  const fills = new Map<Digest, Fill>()
  /** Also those that cannot be joined any more. */
  const running = new Set<Fill>()
  const checks = new Map<Digest, StoredRead>()
  /** Stored blobs that were found bad, and whether that could be done about it. */
  const setAsides = new Map<Digest, Promise<boolean>>()
  /** The bytes of pushes, as long as they may still be stored. */
  const captures = new Set<Capture>()
  const keepings = new Map<Digest, Keeping>()
  /** Downloads and pushes that have ended. */
  let endings = 0
  /** By downloads that are over, in bytes. */
  let fetchedBefore = 0
  let closed = false

  function tell(event: BlobCacheEvent): void {
    // What was bad has been replaced.
    if (event.kind === 'fill completed' || event.kind === 'captured') setAsides.delete(event.digest)
    onEvent(event)
  }

  async function openStored(digest: Digest): Promise<StoredBlob | undefined> {
    const done = setAsides.get(digest)
    if (done && !(await done) && !(await setAside(digest))) return undefined
    return store.open(digest)
  }

  /** False when the store cannot; then the blob counts as not stored for as long as that lasts. */
  function setAside(digest: Digest): Promise<boolean> {
    const done = store.setAside(digest).then(
      () => setAsides.delete(digest),
      (error: unknown) => {
        onEvent({ kind: 'cache trouble', digest, error: asError(error) })
        return false
      },
    )
    setAsides.set(digest, done)
    return done
  }

  function readStored(digest: Digest, stored: StoredBlob): StoredRead {
    const check = verify === 'always' || (verify === 'first' && !stored.verified)
    const onChecked = (trouble: Error | undefined): void => {
      checks.delete(digest)
      if (!trouble) return
      void setAside(digest)
      if (trouble instanceof DigestMismatch) onEvent({ kind: 'mismatch', digest, where: 'store' })
      else onEvent({ kind: 'cache trouble', digest, error: trouble })
    }
    const read = new StoredRead({ digest, stored, check, onChecked })
    if (check) checks.set(digest, read)
    return read
  }

  function beginFill(digest: Digest, source: BlobSource): Fill {
    source.admit?.()
    const onOver = (): void => {
      fills.delete(digest)
      endings++
    }
    const earlier = [...running].filter(each => each.digest === digest)
    const after = Promise.all(earlier.map(({ finished }) => finished))
    const fill = new Fill({
      digest,
      source,
      store,
      limits,
      clock,
      random,
      onEvent: tell,
      onOver,
      after,
      slots,
    })
    fills.set(digest, fill)
    running.add(fill)
    void fill.finished.then(() => {
      running.delete(fill)
      fetchedBefore += fill.fetched
    })
    return fill
  }

  /** Undefined when another repository refused: its proof was out of date, and this reader's need not be. */
  async function join(
    fill: Fill,
    digest: Digest,
    source: BlobSource,
    signal: AbortSignal,
  ): Promise<Lease | undefined> {
    try {
      const lease = await fill.join('join', signal)
      onEvent({ kind: 'fill joined', digest, size: lease.size })
      return lease
    } catch (error) {
      if (fill.size === undefined && isRefusal(error) && !fill.isFrom(source)) return undefined
      throw error
    }
  }

  const isOver = (signal: AbortSignal): boolean => closed || signal.aborted

  async function lease(digest: Digest, source: BlobSource, signal: AbortSignal): Promise<Lease> {
    let isPatient = true
    for (;;) {
      signal.throwIfAborted()
      if (isOver(signal)) throw closing()
      const fill = fills.get(digest)
      if (fill) {
        if (await fill.settled(signal)) continue
        const joined = await join(fill, digest, source, signal)
        if (joined) return joined
        continue
      }
      const check = checks.get(digest)
      if (check) return check.lease()
      const before = endings
      const stored = await openStored(digest)
      const keeping: Keeping | undefined = stored || !isPatient ? undefined : keepings.get(digest)
      if (keeping) {
        isPatient = await keeping.settled(signal)
        continue
      }
      // While the store was asked another may have begun, or even ended, what this one would do again.
      const changed = fills.has(digest) || checks.has(digest) || (!stored && endings !== before)
      if (changed || isOver(signal)) stored?.release()
      else return stored ? readStored(digest, stored).lease() : beginFill(digest, source).join('miss', signal)
    }
  }

  async function size(digest: Digest): Promise<number | undefined> {
    const fill = fills.get(digest)
    if (fill) return fill.size
    const stored = await openStored(digest)
    stored?.release()
    return stored?.size
  }

  function capture(client?: Client): Capture | undefined {
    if (closed) return undefined
    const taking: Capture = new Capture({
      store,
      clock,
      ...(client && { client }),
      onDropped: error => {
        captures.delete(taking)
        onEvent({ kind: 'capture dropped', bytes: taking.bytes, error })
      },
    })
    captures.add(taking)
    return taking
  }

  function keep(digest: Digest, capture: Capture): void {
    const onOver = (): void => {
      captures.delete(capture)
      if (keepings.get(digest) === keeping) keepings.delete(digest)
      endings++
    }
    const keeping = new Keeping({
      digest,
      capture,
      before: keepings.get(digest),
      clock,
      onEvent: tell,
      onOver,
    })
    keepings.set(digest, keeping)
  }

  return {
    knows: async digest => fills.has(digest) || keepings.has(digest) || (await size(digest)) !== undefined,
    size,
    lease,
    get waiting() {
      return slots.waiting
    },
    downloads: () =>
      Array.from(running)
        .filter(fill => !fill.isRight)
        .map(({ digest, size, received, readers }) => ({ digest, size, received, readers })),
    get fetched() {
      return [...running].reduce((sum, fill) => sum + fill.fetched, fetchedBefore)
    },
    async settled() {
      await Promise.all([...running].filter(fill => fill.isRight).map(fill => fill.finished))
    },
    capture,
    keep,
    async close() {
      closed = true
      await Promise.all([
        ...[...running, ...checks.values()].map(each => each.stop(closing())),
        ...Array.from(captures, each => each.discard(new Error('The cache is closed.'))),
      ])
    },
  }
}

function closing(): CacheTrouble {
  return new CacheTrouble('ECANCELED')
}
