/**
 * Runs `work` with a signal that follows `parent` and, until the work is done, a time limit in milliseconds, which may be
 * Infinity. What the
 * work began (a body that streams on) is bound to `parent` alone from then on. Rejects with `late()` after the limit.
 */
export async function withinTime<T>(
  limit: number,
  parent: AbortSignal,
  late: () => Error,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController()
  const timer = Number.isFinite(limit) ? setTimeout(() => deadline.abort(late()), limit) : undefined
  try {
    return await work(AbortSignal.any([parent, deadline.signal]))
  } finally {
    clearTimeout(timer)
  }
}
