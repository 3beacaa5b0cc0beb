import type { IncomingHttpHeaders } from 'node:http'
import { INSTANCE, VERSION } from '../version.js'
import { mayPass } from './may-pass.js'
import { retryAfterOf } from './retry-after.js'
import { warningsIn } from './warnings.js'

/** What of a client's request headers an upstream may see. Everything else stays here, credentials first of all. */
export type RequestHeader = 'accept' | 'content-length' | 'content-range' | 'content-type' | 'range'

/** What of an upstream's reply headers a client may see; what else it needs, the mirror writes itself. */
const RESPONSE_HEADERS = ['oci-filters-applied', 'oci-subject', 'oci-tag', 'retry-after'] as const

/** Header values that are safe to send on: printable, at most 16 KiB. */
const SAFE_VALUE = /^[\x20-\x7e\t]{0,16384}$/

/** What every request of the mirror says; to where a registry redirects, nothing more but the range. */
export const OWN_HEADERS = { 'accept-encoding': 'identity', 'user-agent': `ecr-mirror/${VERSION}` } as const

/** The headers of an upstream request, built from the allow-list. */
export function outboundHeaders(
  inbound: IncomingHttpHeaders,
  names: readonly RequestHeader[],
): Record<string, string> {
  // By Via this process knows its own requests, should they come back to it (RFC 9110, section 7.6.3).
  return { ...pick(inbound, names), ...OWN_HEADERS, via: `1.1 ${INSTANCE}` }
}

/** The upstream's reply headers that are passed on as they are, several lines of one (OCI-Tag) as one. */
export function passedOn(answer: IncomingHttpHeaders): Record<string, string> {
  const joined = { ...answer }
  for (const name of RESPONSE_HEADERS) {
    const value = answer[name]
    if (Array.isArray(value)) joined[name] = value.join(', ')
  }
  const passed = Object.fromEntries(
    Object.entries(pick(joined, RESPONSE_HEADERS)).filter(([, value]) => mayPass(value)),
  )
  const after = retryAfterOf(answer)
  if (after === undefined) delete passed['retry-after']
  else passed['retry-after'] = String(after / 1000)
  const warning = warningsIn(answer.warning)
  if (warning !== undefined) passed.warning = warning
  return passed
}

/** The id under which AWS keeps a request, for its support; undefined for what has not the form of one. */
export function requestIdOf(headers: IncomingHttpHeaders): string | undefined {
  const id = headerOf(headers, 'x-amzn-requestid')
  return id !== undefined && /^[A-Za-z0-9-]{1,64}$/.test(id) ? id : undefined
}

/** A header's one value; undefined when it is missing, repeated or not printable. */
export function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' && SAFE_VALUE.test(value) ? value : undefined
}

function pick(headers: IncomingHttpHeaders, names: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {}
  for (const name of names) {
    const value = headerOf(headers, name)
    if (value !== undefined) picked[name] = value
  }
  return picked
}
