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
  readonly #capture: Capture | undefined

  constructor(request: IncomingMessage, capture: Capture | undefined) {
    super()
    this.#capture = capture
    const left = (): void => {
      if (request.complete) return
      this.destroy(new ClientGone())
    }
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

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
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
}
