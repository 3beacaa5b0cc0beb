/** How long work may keep everybody else from being answered, in milliseconds. */
const MAX_STRETCH = 4

const waiting: (() => void)[] = []
let isScheduled = false

/**
 * Resolves in a later turn of the event loop, after what has arrived meanwhile was looked at. An await does not wait for
 * that by itself: on what is in memory it goes on before anything else. Of all who wait one goes on in a turn, so that
 * many of them take no longer between two turns than one does.
 */
export function nextTurn(): Promise<void> {
  return new Promise(resolve => {
    waiting.push(resolve)
    schedule()
  })
}

function schedule(): void {
  if (isScheduled) return
  isScheduled = true
  setImmediate(() => {
    isScheduled = false
    waiting.shift()?.()
    if (waiting.length > 0) schedule()
  })
}

/** Work of many steps, which lets everybody else be answered every few milliseconds. */
export class Yielder {
  #since = performance.now()

  /** To be awaited in each step. Throws the signal's reason once it is aborted. */
  async step(signal?: AbortSignal): Promise<void> {
    if (performance.now() - this.#since >= MAX_STRETCH) {
      await nextTurn()
      this.#since = performance.now()
    }
    signal?.throwIfAborted()
  }
}
