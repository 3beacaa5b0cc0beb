import { untilAborted } from '../until-aborted.js'
import { wordsOf } from './failure.js'
import { failed, type Finding } from './finding.js'
import { OutOfTime } from './out-of-time.js'

/** How long one check may take, in milliseconds. */
const TIME_LIMIT = 10_000
/** What of it is left, when the signal has aborted, to say what went wrong. */
const LAST_WORDS = 1000

/**
 * Runs one check, with a signal that aborts when its time is up. It always ends in time and never throws: what goes
 * wrong is a finding under `name`, made a result by `resultOf`.
 */
export async function bounded<T>(
  name: string,
  check: (signal: AbortSignal) => Promise<T>,
  resultOf: (finding: Finding) => T,
  limit: number = TIME_LIMIT,
): Promise<T> {
  const [soft, hard] = [new AbortController(), new AbortController()]
  const reason = new OutOfTime(limit)
  // Unlike AbortSignal.timeout(), they keep the process until something is said.
  const timers = [
    setTimeout(() => soft.abort(reason), Math.max(0, limit - LAST_WORDS)),
    setTimeout(() => hard.abort(reason), limit),
  ]
  try {
    return await untilAborted(check(soft.signal), hard.signal)
  } catch (error) {
    const advice =
      error instanceof OutOfTime
        ? 'run this again; if it stays so, look at the network and the disks of this machine'
        : 'this was not foreseen: please report it with this line'
    return resultOf(failed(name, wordsOf(error), advice))
  } finally {
    timers.forEach(clearTimeout)
  }
}
