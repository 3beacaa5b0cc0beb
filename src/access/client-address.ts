import { canonicalAddress, type AddressSet } from './address-set.js'

/** A request passes no more proxies than this; a longer chain was written by the client. */
const MAX_PROXIES = 32

/**
 * The address that a request comes from, for grants by address. That is the peer's, or, when the peer is a trusted
 * proxy, the last one in X-Forwarded-For that is not a trusted proxy's: what stands before it, the client may have
 * written itself. Undefined, which no grant by address matches, when a trusted proxy sends no such header, when anybody
 * else does, and when nothing in it can be relied on.
 */
export function clientAddress(request: {
  /** The socket's remote address. */
  readonly peer: string | undefined
  /** The X-Forwarded-For header; several of them joined by commas, in order. */
  readonly forwardedFor: string | undefined
  readonly trustedProxies: AddressSet
}): string | undefined {
  const { peer, forwardedFor, trustedProxies } = request
  if (peer === undefined) return undefined
  if (!trustedProxies.has(peer)) return forwardedFor === undefined ? canonicalAddress(peer) : undefined
  for (const entry of (forwardedFor ?? '').split(',').slice(-MAX_PROXIES).reverse()) {
    const address = forwardedAddress(entry.trim())
    if (address === undefined || !trustedProxies.has(address)) return address
  }
  return undefined
}

/** Some proxies add the port: `192.0.2.1:4711`, `[2001:db8::1]:4711` (AWS: "X-Forwarded headers", client port preservation). */
function forwardedAddress(entry: string): string | undefined {
  const match = /^(?:\[([^[\]]+)\]|([^:]+))(?::\d{1,5})?$/.exec(entry)
  return canonicalAddress(match?.[1] ?? match?.[2] ?? entry)
}
