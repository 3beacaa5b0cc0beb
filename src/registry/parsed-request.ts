import type { IncomingMessage } from 'node:http'
import { OciError } from '../oci/error.js'
import { parseRequest, ROUTES, type ParsedRequest } from '../oci/endpoint.js'

const parsed = new WeakMap<IncomingMessage, ParsedRequest | OciError>()

/** The route of what is no endpoint; no handler is registered there. */
const NOWHERE = '/'

/**
 * The route of a request, as the router shall see it: one of nine constant texts. Parsing comes first, so no other
 * parser, escape or normalisation ever has a say in what a path means.
 */
export function routeOf(raw: IncomingMessage): string {
  const request = parseRequest(raw.method ?? '', raw.url ?? '')
  parsed.set(raw, request)
  return request instanceof OciError ? NOWHERE : ROUTES[request.endpoint.kind]
}

/** What the one parser made of a request. */
export function parsedRequest(raw: IncomingMessage): ParsedRequest | OciError {
  return parsed.get(raw) ?? new OciError('NAME_INVALID', 'The request has no target.')
}
