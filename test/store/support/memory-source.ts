import { Readable } from 'node:stream'
import { OciError } from '../../../src/oci/error.js'
import type { BlobSource, OpenedBlob, SourceRange } from '../../../src/store/blob-source.js'

/** A range that is being given, under the test's control. */
export interface Stream {
  readonly first: number
  readonly last: number
  /** How many bytes were given. */
  given: number
  readonly body: Readable
}

export interface MemorySourceOptions {
  readonly bytes: Buffer
  /** Gives only what `give` is told to; otherwise everything at once. */
  readonly manual?: boolean
  /** Pretends not to know ranges. */
  readonly whole?: boolean
}

/** A source in memory that counts, fails and breaks off on demand. */
export class MemorySource implements BlobSource {
  readonly bytes: Buffer
  readonly #manual: boolean
  readonly #whole: boolean
  readonly live = new Set<Stream>()
  readonly opens: SourceRange[] = []
  readonly agains: SourceRange[] = []
  /** Bytes given altogether. */
  given = 0
  #places = 0
  #lost = 0
  /** Thrown, one after the other, by the next calls. */
  readonly openErrors: Error[] = []
  /** Changes what is opened, to lie about it. */
  distort: (opened: OpenedBlob) => OpenedBlob = opened => opened
  beforeOpen: () => Promise<void> = async () => undefined

  constructor({ bytes, manual = false, whole = false }: MemorySourceOptions) {
    this.bytes = bytes
    this.#manual = manual
    this.#whole = whole
  }

  async open(range: SourceRange, signal: AbortSignal): Promise<OpenedBlob> {
    this.opens.push(range)
    await this.beforeOpen()
    signal.throwIfAborted()
    const error = this.openErrors.shift()
    if (error) throw error
    return this.#opened(range)
  }

  /** Gives the next `count` bytes of a stream. */
  give(stream: Stream, count: number): void {
    const from = stream.first + stream.given
    const bytes = this.bytes.subarray(from, Math.min(from + count, stream.last + 1))
    stream.given += bytes.length
    this.given += bytes.length
    if (bytes.length > 0) stream.body.push(Buffer.from(bytes))
    if (stream.first + stream.given > stream.last) {
      this.live.delete(stream)
      stream.body.push(null)
    }
  }

  cut(stream: Stream, error = new Error('ECONNRESET')): void {
    this.live.delete(stream)
    stream.body.destroy(error)
  }

  /** Cuts a range off as if it had ended. */
  endEarly(stream: Stream): void {
    this.live.delete(stream)
    stream.body.push(null)
  }

  /** What was opened so far gives no further ranges. */
  losePlaces(): void {
    this.#lost = this.#places
  }

  async #again(place: number, range: SourceRange, signal: AbortSignal): Promise<OpenedBlob> {
    this.agains.push(range)
    await Promise.resolve()
    signal.throwIfAborted()
    if (place <= this.#lost) throw new OciError('UNKNOWN', 'expired', { status: 502 })
    return this.#opened(range, place)
  }

  #opened(
    { first: askedFirst, last: askedLast = Infinity }: SourceRange,
    place = ++this.#places,
  ): OpenedBlob {
    const size = this.bytes.length
    const first = this.#whole ? 0 : askedFirst
    const last = this.#whole ? size - 1 : Math.min(askedLast, size - 1)
    const body = new Readable({ read: () => undefined })
    const stream: Stream = { first, last, given: 0, body }
    this.live.add(stream)
    body.on('close', () => this.live.delete(stream))
    if (!this.#manual || last < first) this.give(stream, size)
    return this.distort({
      size,
      first,
      last,
      body,
      again: (range, signal) => this.#again(place, range, signal),
    })
  }
}
