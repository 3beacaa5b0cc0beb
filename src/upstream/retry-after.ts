import { headerOf } from './headers.js'
import type { Answer } from './send.js'

/** An answer's Retry-After in milliseconds, when it is given in seconds (RFC 9110, section 10.2.3). */
export function retryAfterOf(answer: Pick<Answer, 'headers'>): number | undefined {
  const text = headerOf(answer.headers, 'retry-after')
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) * 1000 : undefined
}
