/** Lets tasks with the same key run one after another, and those with different keys side by side. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Whether a task with this key runs or waits. */
  busy(key: string): boolean {
    return this.#last.has(key)
  }

  async take<T>(key: string, task: () => Promise<T>): Promise<T> {
    const turn = after(this.#last.get(key), task)
    this.#last.set(key, turn)
    try {
      return await turn
    } finally {
      if (this.#last.get(key) === turn) this.#last.delete(key)
    }
  }
}

async function after<T>(before: Promise<unknown> | undefined, task: () => Promise<T>): Promise<T> {
  // How the one before ended is its caller's matter.
  await before?.catch(() => undefined)
  return task()
}
