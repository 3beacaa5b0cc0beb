import type { Digest } from '../oci/digest.js'
import { asError } from './as-error.js'
import { begin, type Beginning } from './beginning.js'
import type { BlobCacheEvent } from './blob-cache-event.js'
import type { BlobSource } from './blob-source.js'
import { CacheTrouble, type BlobStore, type Ingest } from './blob-store.js'
import type { Clock } from './clock.js'
import { startDownload, type DownloadLimits } from './download.js'
import { hasDigest } from './hash-follower.js'
import { DigestMismatch, type CacheResult, type Lease } from './lease.js'
import type { PartTable } from './part-table.js'
import { abandon } from './receive.js'
import { SharedBlob } from './shared-blob.js'
import type { Slots } from './slots.js'
import { Unrepairable } from './unrepairable.js'
import { Wakers } from './wakers.js'

export interface FillLimits extends DownloadLimits {
  /** Milliseconds that it goes on for nobody. */
  readonly idleFill: number
  /** The share of the blob above which it goes on for nobody to its end. */
  readonly keepAbove: number
}

export interface FillOptions {
  readonly digest: Digest
  readonly source: BlobSource
  readonly store: BlobStore
  readonly limits: FillLimits
  readonly clock: Clock
  readonly random: () => number
  readonly onEvent: (event: BlobCacheEvent) => void
  /** From now on it cannot be joined: it has failed, or the blob is stored. */
  readonly onOver: () => void
  /** What it waits for before it begins: the end of an earlier one, which may leave something to go on from. */
  readonly after: Promise<unknown>
  /** Of which it then takes one. */
  readonly slots: Slots
}

interface Opened {
  readonly blob: SharedBlob
  readonly table: PartTable
}

/** How long a reader waits for a blob to become durable rather than join its download, in milliseconds. */
const SETTLING = 250

/** One download in progress. It belongs to nobody: who began it may leave, and who comes later reads the same bytes. */
export class Fill {
  readonly #options: FillOptions
  readonly #stop = new AbortController()
  readonly #opening = new Wakers()
  /** Resolves when all that it began has ended; it may still be read then. */
  readonly finished: Promise<void>
  #opened: Opened | undefined
  /** What an earlier download had left, in bytes. */
  #found = 0
  #failure: Error | undefined
  /** It failed for want of bytes, and those that are there may be gone on from. */
  #interrupted = false
  /** Readers, and those who wait to become one. */
  #users = 0
  #joinable = true
  /** The bytes are all right, and only have to be made durable. */
  #isRight = false
  readonly #ending = new Wakers()
  #finished = false
  #cancelIdle: () => void = () => undefined
  /** Gives back what the bytes are kept in. */
  #dispose: () => void | Promise<void> = () => undefined

  constructor(options: FillOptions) {
    this.#options = options
    this.finished = this.#inTurn()
      .catch((error: unknown) => this.#fail(asError(error)))
      .finally(() => this.#finish())
  }

  get digest(): Digest {
    return this.#options.digest
  }

  /** Whether it reads the same repository as `source`. */
  isFrom({ origin }: BlobSource): boolean {
    return origin !== undefined && origin === this.#options.source.origin
  }

  /** In bytes, once the source has told. */
  get size(): number | undefined {
    return this.#opened?.blob.size
  }

  /** How many bytes are there, in all. */
  get received(): number {
    return this.#opened?.table.received ?? 0
  }

  /** How many of them this download took from its source itself, rather than found there. */
  get fetched(): number {
    return this.received - this.#found
  }

  /** Those who read it, or wait to. */
  get readers(): number {
    return this.#users
  }

  /** Whether the bytes are all there and right, and only have to be made durable, if that is not done yet. */
  get isRight(): boolean {
    return this.#isRight
  }

  /** A hold on the blob, as soon as its source was opened. Throws why it cannot be, or the signal's reason. */
  async join(result: CacheResult, signal: AbortSignal): Promise<Lease> {
    this.#users++
    this.#cancelIdle()
    try {
      while (!this.#opened) {
        if (this.#failure) throw this.#failure
        await this.#opening.wait(signal)
      }
      return this.#opened.blob.lease(result, () => this.#leave())
    } catch (error) {
      this.#leave()
      throw error
    }
  }

  /**
   * Waits a moment for the end of one whose bytes are all there, so that who asks after a download finds the stored
   * blob. False when it is still going on, and to be joined. Throws the signal's reason.
   */
  async settled(signal: AbortSignal): Promise<boolean> {
    if (!this.#isRight || !this.#joinable) return !this.#joinable
    await this.#ending.waitAtMost(SETTLING, this.#options.clock, signal)
    return !this.#joinable
  }

  /** Gives it up for everybody. Resolves when nothing of it is left but what a later one goes on from. */
  async stop(reason: Error): Promise<void> {
    this.#end()
    this.#opened?.blob.cut(reason)
    this.#fail(reason, true)
    this.#stop.abort(reason)
    await this.finished
  }

  async #inTurn(): Promise<void> {
    const { after, slots, source } = this.#options
    await after
    const giveBack = await slots.take(this.#stop.signal, source.client)
    try {
      await this.#fill()
    } finally {
      giveBack()
    }
  }

  async #fill(): Promise<void> {
    this.#stop.signal.throwIfAborted()
    const beginning = await begin({ ...this.#options, stop: this.#stop })
    const { ingest, table } = beginning
    this.#dispose = () => ingest.discard()
    const trouble = await this.#download(beginning)
    if (!trouble) await this.#keep(ingest)
    else if (this.#interrupted && !(trouble instanceof DigestMismatch)) await this.#suspend(ingest, table)
  }

  /** Why the bytes are not right, or not all there; undefined when they are. Nothing is being written then. */
  async #download({ opened, ingest, table }: Beginning): Promise<Error | undefined> {
    const { digest, onEvent, limits, clock } = this.#options
    const { signal } = this.#stop
    if (signal.aborted) {
      abandon(opened.body)
      return asError(signal.reason)
    }
    const blob = new SharedBlob({
      digest,
      bytes: ingest,
      verified: false,
      readableTo: position => table.readableTo(position),
      onWanted: position => download.hurry(position),
    })
    const { received } = table
    const download = startDownload({
      ...this.#options,
      opened,
      first: table.takeFirst(opened.last),
      table,
      write: (bytes, position) => ingest.write(bytes, position),
      wanted: () => blob.positions(),
      onGrown: () => blob.grown(),
      onRepaired: (position, error) => onEvent({ kind: 'repaired', digest, position, error }),
      limits,
      clock,
      signal,
    })
    const ended = download.done.catch((error: unknown) => {
      if (signal.aborted) return
      if (error instanceof Unrepairable) this.#fail(error.reason)
      else this.#fail(asError(error), !(error instanceof CacheTrouble))
    })
    this.#found = received
    this.#opened = { blob, table }
    if (received > 0) onEvent({ kind: 'fill resumed', digest, size: blob.size, received })
    else onEvent({ kind: 'fill started', digest, size: blob.size })
    this.#opening.wake()

    const reached = (position: number): Promise<void> => blob.reached(position, signal)
    const trouble = await hasDigest({ digest, bytes: ingest, reached }).then(
      right => (right ? undefined : new DigestMismatch(digest)),
      asError,
    )
    if (trouble) this.#fail(trouble)
    else {
      this.#isRight = true
      blob.reveal()
    }
    this.#stop.abort(trouble ?? new Error('The fill is over.'))
    await ended
    return trouble
  }

  /** Stores what was found right. Where that fails its readers read on even so. */
  async #keep(ingest: Ingest): Promise<void> {
    const { digest, onEvent } = this.#options
    try {
      const stored = await ingest.commit(digest)
      this.#dispose = () => stored.release()
      this.#opened?.blob.readThrough(stored)
      onEvent({ kind: 'fill completed', digest, size: stored.size })
    } catch (error) {
      onEvent({ kind: 'cache trouble', digest, error: asError(error) })
    }
    this.#end()
  }

  /** Leaves what was received to a later one. Those who read it read on even so. */
  async #suspend(ingest: Ingest, { received, present, size }: PartTable): Promise<void> {
    const { digest, onEvent } = this.#options
    if (received === 0) return
    try {
      if (await ingest.suspend(digest, present)) onEvent({ kind: 'fill suspended', digest, size, received })
    } catch (error) {
      onEvent({ kind: 'cache trouble', digest, error: asError(error) })
    }
  }

  #leave(): void {
    const { clock, limits } = this.#options
    this.#users--
    if (this.#users > 0) return
    this.#cancelIdle()
    if (this.#finished) void this.#giveBack()
    else this.#cancelIdle = clock.after(limits.idleFill, () => this.#abandonUnlessFar())
  }

  #abandonUnlessFar(): void {
    const { digest, onEvent, limits } = this.#options
    const received = this.#opened?.table.received ?? 0
    const size = this.#opened?.blob.size
    if (!this.#joinable || (size !== undefined && received >= limits.keepAbove * size)) return
    this.#end()
    onEvent({ kind: 'fill abandoned', digest, size, received })
    void this.stop(new Error('Nobody wants the blob any more.'))
  }

  /** Before anybody hears of a failure: who then asks again must not be given this fill. */
  #end(): void {
    if (!this.#joinable) return
    this.#joinable = false
    this.#options.onOver()
    this.#ending.wake()
  }

  #fail(error: Error, interrupted = false): void {
    const { digest, onEvent } = this.#options
    const blob = this.#opened?.blob
    if (this.#failure) return
    this.#failure = error
    this.#interrupted = interrupted
    const told = !this.#joinable
    this.#end()
    if (error instanceof DigestMismatch) blob?.cut(error)
    else blob?.fail(error)
    this.#opening.wake()
    if (told) return
    if (error instanceof DigestMismatch) onEvent({ kind: 'mismatch', digest, where: 'upstream' })
    else if (error instanceof CacheTrouble) onEvent({ kind: 'cache trouble', digest, error })
    else if (blob) onEvent({ kind: 'fill failed', digest, error })
  }

  async #finish(): Promise<void> {
    this.#finished = true
    this.#cancelIdle()
    if (this.#users === 0 || this.#opened?.blob.isCut === true) await this.#giveBack()
  }

  async #giveBack(): Promise<void> {
    const dispose = this.#dispose
    this.#dispose = () => undefined
    try {
      await dispose()
    } catch (error) {
      this.#options.onEvent({ kind: 'cache trouble', digest: this.#options.digest, error: asError(error) })
    }
  }
}
