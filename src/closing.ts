/** What has been opened, each with how it is closed. */
export class Closing {
  readonly #steps: (() => unknown)[] = []

  add(close: () => unknown): void {
    this.#steps.push(close)
  }

  /** Closes everything, the last opened first; also the rest where closing one fails, and then throws the first failure. */
  async close(): Promise<void> {
    const failures: unknown[] = []
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}

/** Gives `work` what to note its openings in, and closes them all when it fails. */
export async function closedOnFailure<T>(work: (closing: Closing) => Promise<T>): Promise<T> {
  const closing = new Closing()
  try {
    return await work(closing)
  } catch (error) {
    // What kept it from opening is what is to be told, not what failed after.
    await closing.close().catch(() => undefined)
    throw error
  }
}
