/** Time, as far as the store goes by it. */
export interface Clock {
  /** Milliseconds since some moment; it never goes back. */
  now(): number
  /** Calls once, `ms` milliseconds from now, unless what it returns is called before. */
  after(ms: number, call: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms)
    return () => clearTimeout(timer)
  },
}

/** Waits `ms` milliseconds; throws the signal's reason as soon as it aborts. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      cancel()
      // The reason is thrown as it is, whatever it is.
      reject(signal.reason as Error)
    }
    const cancel = clock.after(ms, () => {
      signal.removeEventListener('abort', leave)
      resolve()
    })
    signal.addEventListener('abort', leave, { once: true })
    if (signal.aborted) leave()
  })
}

export interface SilenceWatch {
  /** Something was heard. */
  heard(): void
  end(): void
}

/** Calls once when nothing was heard for `limit` milliseconds. */
export function watchSilence(clock: Clock, limit: number, onSilence: () => void): SilenceWatch {
  let last = clock.now()
  const check = (): void => {
    const left = last + limit - clock.now()
    if (left > 0) cancel = clock.after(left, check)
    else onSilence()
  }
  let cancel = clock.after(limit, check)
  return {
    heard: () => void (last = clock.now()),
    end: () => cancel(),
  }
}
