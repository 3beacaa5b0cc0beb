import { CacheTrouble } from './blob-store.js'
import { codeOf } from './file-system.js'
import type { StoreLog } from './store-log.js'
import type { WritePause } from './write-pause.js'

/** Turns the system's errors into CacheTrouble, counts them, and lets writing pause after its own. */
export class Troubles {
  #readErrors = 0
  #writeErrors = 0

  constructor(
    private readonly pause: WritePause,
    private readonly log: StoreLog | undefined,
  ) {}

  get readErrors(): number {
    return this.#readErrors
  }

  get writeErrors(): number {
    return this.#writeErrors
  }

  /** The code of the trouble for which nothing is written now. */
  get writePaused(): string | undefined {
    return this.pause.reason
  }

  /** Trouble counts once, where it began. */
  readonly reading = (error: unknown): CacheTrouble => {
    if (error instanceof CacheTrouble) return error
    this.#readErrors++
    return new CacheTrouble(codeOf(error), { cause: error })
  }

  readonly writing = (error: unknown): CacheTrouble => {
    if (error instanceof CacheTrouble) return error
    this.#writeErrors++
    const code = codeOf(error)
    if (this.pause.begin(code)) {
      this.log?.warn({ code, err: error }, 'The cache cannot be written to; it will be tried again.')
    }
    return new CacheTrouble(code, { cause: error })
  }

  /** Says that something was written to its end. */
  wrote(): void {
    if (this.pause.end()) this.log?.info({}, 'The cache is written to again.')
  }
}
