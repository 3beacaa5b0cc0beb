import { OciError } from '../oci/error.js'

/**
 * The mirror has as much of something as it may. 503 rather than 429: dockerd comes again after the one and gives up at
 * the other.
 */
export function overloaded(what: string): OciError {
  return new OciError('TOOMANYREQUESTS', `The mirror has ${what} as it may; try again.`, {
    status: 503,
    retryAfter: 1,
  })
}
