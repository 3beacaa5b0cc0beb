import type { Digest } from '../oci/digest.js'
import { ALONE, type Client } from '../shares.js'
import { asError } from './as-error.js'
import { CacheTrouble, type BlobStore, type Ingest } from './blob-store.js'
import type { Clock } from './clock.js'
import { hasDigest } from './hash-follower.js'
import { DigestMismatch } from './lease.js'

export interface CaptureOptions {
  readonly store: BlobStore
  readonly clock: Clock
  /** Whose push it is. */
  readonly client?: Client
  /** Learns, once, why the bytes will not be kept. */
  readonly onDropped: (error: Error) => void
}

/** Bytes that may wait to be written before who gives them has to wait too, and in how many chunks. */
const MAX_QUEUED = 1024 * 1024
const MAX_CHUNKS = 1024
/** Bytes that are written at a time, at most. */
const BATCH = 512 * 1024
/**
 * What all waiting together may take: so many milliseconds, and that share of the time since the beginning. A single
 * wait is shorter than anybody's patience with a connection, however long the push has taken by then.
 */
const GRACE = 500
const SHARE = 0.1
const LONGEST_WAIT = 5000

/**
 * The bytes of one push on their way into the store. It takes them as they pass and fails nobody: when the store is in
 * trouble, or slower than a push may be held up, the capture is given up and takes no more.
 */
export class Capture {
  readonly #options: CaptureOptions
  readonly #began: number
  #ingest: Promise<Ingest> | undefined
  readonly #queue: Uint8Array[] = []
  #queued = 0
  #given = 0
  #isWriting = false
  #writing: Promise<void> = Promise.resolve()
  /** For what is written together, used again and again. */
  #batch: Buffer | undefined
  #wait: Promise<void> | undefined
  #endWait: () => void = () => undefined
  /** In milliseconds, by waits that have ended. */
  #waited = 0
  /** It takes no more: it was given up, or the store has it. */
  #isOver = false
  /** Resolves when nothing of it is left that is not stored. */
  #left: Promise<void> = Promise.resolve()

  constructor(options: CaptureOptions) {
    this.#options = options
    this.#began = options.clock.now()
  }

  /** How many it was given and took. */
  get bytes(): number {
    return this.#given
  }

  /** Whether it takes no more. */
  get isOver(): boolean {
    return this.#isOver
  }

  /**
   * Takes the next bytes, which nobody may change afterwards. Undefined when there is room for more; otherwise a promise
   * to wait for, which never rejects.
   */
  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#isOver) return undefined
    this.#given += chunk.length
    this.#queued += chunk.length
    this.#queue.push(chunk)
    this.#startWriting()
    return this.#isFull() ? (this.#wait ??= this.#beginWait()) : undefined
  }

  /**
   * Stores what was given, if it has the digest; whether it is stored. It is read back from the file for that: what is
   * hashed is what will be served.
   */
  async finish(digest: Digest): Promise<boolean> {
    if (this.#isOver) return false
    try {
      this.#startWriting()
      await this.#writing
      const ingest = await this.#open()
      if (ingest.size !== this.#given) throw new CacheTrouble('ENODATA')
      const reached = (): Promise<void> =>
        this.#isOver ? Promise.reject(new CacheTrouble('ECANCELED')) : Promise.resolve()
      if (!(await hasDigest({ digest, bytes: ingest, reached }))) throw new DigestMismatch(digest)
      return await this.#commit(ingest, digest)
    } catch (error) {
      this.#drop(asError(error))
      return false
    } finally {
      await this.#left
    }
  }

  /** Gives it up, unless the store has it. Resolves when nothing of it is left. */
  async discard(reason: Error): Promise<void> {
    this.#drop(reason)
    await this.#left
  }

  /** From here on nobody else gives it up; who wants to waits for the end. */
  async #commit(ingest: Ingest, digest: Digest): Promise<boolean> {
    if (this.#isOver) return false
    this.#isOver = true
    const committed = ingest.commit(digest).then(
      stored => {
        stored.release()
        return true
      },
      async (error: unknown) => {
        this.#options.onDropped(asError(error))
        await this.#giveBack()
        return false
      },
    )
    this.#left = committed.then(() => undefined)
    return committed
  }

  #open(): Promise<Ingest> {
    const { store, client = ALONE } = this.#options
    return (this.#ingest ??= store.ingest(undefined, { client, giveUp: () => this.#giveUp() }))
  }

  /** Others need the room that it takes. The push itself goes on. */
  async #giveUp(): Promise<boolean> {
    const isUnderWay = !this.#isOver
    await this.discard(new CacheTrouble('ENOSPC'))
    return isUnderWay
  }

  #isFull(): boolean {
    return this.#queued > MAX_QUEUED || this.#queue.length > MAX_CHUNKS
  }

  #startWriting(): void {
    if (this.#isWriting || this.#isOver) return
    this.#isWriting = true
    this.#writing = this.#write()
  }

  /** Writes until nothing is queued. Never rejects. */
  async #write(): Promise<void> {
    try {
      const ingest = await this.#open()
      for (let position = ingest.size; this.#queue.length > 0;) {
        const batch = this.#takeBatch()
        await ingest.write(batch, position)
        position += batch.length
        this.#queued -= batch.length
        if (!this.#isFull()) this.#endWait()
      }
    } catch (error) {
      this.#drop(asError(error))
    }
    this.#isWriting = false
  }

  /** The next chunks in one piece. */
  #takeBatch(): Uint8Array {
    let [count, length] = [0, 0]
    for (const chunk of this.#queue) {
      if (count > 0 && length + chunk.length > BATCH) break
      length += chunk.length
      count++
    }
    const chunks = this.#queue.splice(0, count)
    const [only] = chunks
    if (only && count === 1) return only
    this.#batch ??= Buffer.allocUnsafeSlow(BATCH)
    let end = 0
    for (const chunk of chunks) {
      this.#batch.set(chunk, end)
      end += chunk.length
    }
    return this.#batch.subarray(0, end)
  }

  /** Ends when there is room again, or with the capture when that takes too long. */
  #beginWait(): Promise<void> {
    const { clock } = this.#options
    const began = clock.now()
    return new Promise(resolve => {
      const cancel = clock.after(this.#patience(), () => this.#drop(new CacheTrouble('ETIMEDOUT')))
      this.#endWait = () => {
        this.#endWait = () => undefined
        cancel()
        this.#waited += clock.now() - began
        this.#wait = undefined
        resolve()
      }
    })
  }

  /** How long it may be waited from now on, in milliseconds; what may be waited grows meanwhile. */
  #patience(): number {
    const allowed = GRACE + SHARE * (this.#options.clock.now() - this.#began)
    return Math.min(LONGEST_WAIT, Math.max(0, (allowed - this.#waited) / (1 - SHARE)))
  }

  #drop(error: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#queue.length = 0
    this.#queued = 0
    this.#batch = undefined
    this.#left = this.#giveBack()
    this.#options.onDropped(error)
    this.#endWait()
  }

  async #giveBack(): Promise<void> {
    try {
      const ingest = await this.#ingest
      await ingest?.discard()
    } catch {
      // There never was one; or what is left of it goes at the next start.
    }
  }
}
