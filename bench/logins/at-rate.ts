import { setTimeout as sleep } from 'node:timers/promises'

/** Does something so many times a second, whether or not what was done before has ended. */
export async function atRate(
  perSecond: number,
  seconds: number,
  work: (index: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const begin = performance.now()
  const count = perSecond * seconds
  for (let index = 0; index < count && !signal?.aborted; index++) {
    const wait = begin + (index * 1000) / perSecond - performance.now()
    if (wait > 0) await sleep(wait)
    work(index)
  }
}

/** The value below which so much (0 to 1) of the values are. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN
}
