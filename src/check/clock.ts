import { failed, ok, skipped, warning, type Finding } from './finding.js'

const NAME = 'clock'

/** AWS, "Elements of an AWS API request signature": a signature must come within five minutes of its time stamp. */
const REFUSED_AFTER = 5 * 60_000
const WORTH_A_WARNING = 30_000

/** Another machine's clock as its Date header tells it, against this one's. */
export interface ClockReading {
  /** Whose it is, for people. */
  readonly of: string
  /** How far this machine is ahead of it, in milliseconds; exact to a second and the time of a request. */
  readonly ahead: number
}

/** The reading in a Date header (RFC 9110, section 6.6.1) of an answer that came at `now`, in milliseconds since 1970. */
export function readClock(of: string, date: unknown, now: number = Date.now()): ClockReading | undefined {
  const theirs = typeof date === 'string' ? Date.parse(date) : Number.NaN
  return Number.isNaN(theirs) ? undefined : { of, ahead: now - theirs }
}

/** Whether this machine's clock is right enough, by the reading that differs most. */
export function checkClock(readings: readonly ClockReading[]): Finding {
  const [worst] = [...readings].sort((a, b) => Math.abs(b.ahead) - Math.abs(a.ahead))
  if (!worst) return skipped(NAME, 'nobody answered whose clock could be compared')
  const off = Math.abs(worst.ahead)
  const told = `${duration(off)} ${worst.ahead > 0 ? 'ahead of' : 'behind'} that of ${worst.of}`
  const advice = 'set it by NTP (chrony, systemd-timesyncd; on AWS 169.254.169.123)'
  if (off > REFUSED_AFTER)
    return failed(NAME, `this machine's is ${told}; AWS refuses signatures that are 5 min off`, advice)
  if (off > WORTH_A_WARNING) return warning(NAME, `this machine's is ${told}; AWS bears with 5 min`, advice)
  return ok(NAME, `agrees with that of ${worst.of}`)
}

function duration(ms: number): string {
  return ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`
}
