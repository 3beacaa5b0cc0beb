import type { BigIntStats } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'

/** An open file that several readers hold; the last one to leave closes it. */
export class StoredFile {
  #holds = 0

  /** `onIdle` is called when the last hold ends, before the file is closed. */
  constructor(
    readonly handle: FileHandle,
    private readonly onIdle: (file: StoredFile) => void,
  ) {}

  hold(): void {
    this.#holds++
  }

  release(): void {
    if (--this.#holds > 0) return
    this.onIdle(this)
    // Only read from: there is nothing to lose.
    this.handle.close().catch(() => undefined)
  }

  stat(): Promise<BigIntStats> {
    return this.handle.stat({ bigint: true })
  }
}
