import type { IncomingHttpHeaders } from 'node:http'

/** Nobody is told to wait longer, whatever an upstream says, in seconds. */
const LONGEST = 300

/**
 * The milliseconds that a Retry-After asks for when it is given in seconds (RFC 9110, section 10.2.3), 300 s at most.
 * Undefined when it is missing, asks for nothing, or is of another form: a date is by a clock that may be wrong.
 */
export function retryAfterOf(headers: IncomingHttpHeaders): number | undefined {
  const text = headers['retry-after']
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined
  const seconds = Math.min(Number(text), LONGEST)
  return seconds > 0 ? seconds * 1000 : undefined
}
