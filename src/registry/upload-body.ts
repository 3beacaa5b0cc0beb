import type { IncomingMessage } from 'node:http'
import { Transform, type TransformCallback } from 'node:stream'
import type { Capture } from '../store/capture.js'
import { ClientGone } from './client-gone.js'

/**
 * A request's body on its way upstream, counted, and captured where there is a cache. It stands between the two
 * connections: when the upstream stops listening, this is what gets destroyed, and the client's connection lives on to
 * carry the answer.
 */
export class UploadBody extends Transform {
  /** Bytes that went through. */
  bytes = 0
  /** When a piece of it was last taken, or its end was seen, in milliseconds of the monotonic clock. */
  movedAt = performance.now()
  /**
   * Whether there is anything in it, as soon as that is known. Rejects with a ClientGone when the client leaves before.
   */
  readonly hasBytes: Promise<boolean>
  readonly #capture: Capture | undefined
  #foundBytes: (are: boolean) => void = () => undefined

  constructor(request: IncomingMessage, capture: Capture | undefined) {
    super()
    this.#capture = capture
    const left = (): void => {
      if (request.complete) return
      this.destroy(new ClientGone())
    }
    this.hasBytes = new Promise((resolve, reject) => {
      this.#foundBytes = resolve
      this.once('close', () => reject(new ClientGone()))
    })
    // Not everybody asks.
    this.hasBytes.catch(() => undefined)
    request.once('close', left)
    request.once('error', left)
    this.once('close', () => {
      request.off('close', left)
      request.unpipe(this)
    })
    // Errors reach the upstream request, which reads this; nobody else may be listening.
    this.on('error', () => undefined)
    request.pipe(this)
  }

  /** The client has sent all of it. */
  get isWhole(): boolean {
    return this.writableFinished
  }

  /** What the client has sent went on upstream, and there is more to come. */
  get waitsForClient(): boolean {
    return !this.isWhole && this.readableLength === 0 && this.writableLength === 0
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#foundBytes(true)
    this.movedAt = performance.now()
    this.bytes += chunk.length
    const wait = this.#capture?.write(chunk)
    if (!wait) {
      done(null, chunk)
      return
    }
    // These bytes go on at once; only those behind them wait for the disk.
    this.push(chunk)
    void wait.then(() => done())
  }

  override _flush(done: TransformCallback): void {
    this.#foundBytes(false)
    this.movedAt = performance.now()
    done()
  }
}
