import type { Digest } from '../oci/digest.js'
import type { BlobCacheEvent } from './blob-cache-event.js'
import type { Capture } from './capture.js'
import type { Clock } from './clock.js'
import { Wakers } from './wakers.js'

export interface KeepingOptions {
  readonly digest: Digest
  readonly capture: Capture
  /** That of an earlier push of the same blob, which may make this one needless. */
  readonly before: Keeping | undefined
  readonly clock: Clock
  readonly onEvent: (event: BlobCacheEvent) => void
  /** From now on it is not to be waited for: the blob is stored, or will not be. */
  readonly onOver: () => void
}

/** How long a reader waits for a pushed blob to be stored rather than have it downloaded, in milliseconds. */
const PATIENCE = 5000

/** A push that has ended, and whose bytes are being hashed and made durable. */
export class Keeping {
  /** Resolves when it has ended: whether the blob is stored. */
  readonly stored: Promise<boolean>
  readonly #clock: Clock
  readonly #ended = new Wakers()
  #isOver = false

  constructor(options: KeepingOptions) {
    this.#clock = options.clock
    this.stored = this.#keep(options)
  }

  /** Waits for the end, within reason; false when it has not come. Throws the signal's reason. */
  async settled(signal: AbortSignal): Promise<boolean> {
    if (!this.#isOver) await this.#ended.waitAtMost(PATIENCE, this.#clock, signal)
    return this.#isOver
  }

  async #keep({ digest, capture, before, onEvent, onOver }: KeepingOptions): Promise<boolean> {
    const needless = (await before?.stored) === true
    if (needless) await capture.discard(new Error('Another push of the same blob was kept.'))
    const stored = !needless && (await capture.finish(digest))
    if (stored) onEvent({ kind: 'captured', digest, size: capture.bytes })
    this.#isOver = true
    onOver()
    this.#ended.wake()
    return needless || stored
  }
}
