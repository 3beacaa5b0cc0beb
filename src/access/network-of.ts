import { canonicalAddress } from './address-set.js'

/**
 * Whom to take an address for when something is counted by address: a host has a whole /64 of IPv6 addresses to itself
 * (RFC 4291, section 2.5.1), so all of those are one.
 */
export function networkOf(address: string): string {
  const canonical = canonicalAddress(address) ?? address
  if (!canonical.includes(':')) return canonical
  const [before = '', after] = canonical.split('::')
  const groups = before === '' ? [] : before.split(':')
  // What `::` stands for are zeros, of which the first 64 bits have as many as are missing there.
  const missing = after === undefined ? 0 : 8 - groups.length - (after === '' ? 0 : after.split(':').length)
  const all = [...groups, ...Array<string>(missing).fill('0'), ...(after ? after.split(':') : [])]
  return all.slice(0, 4).join(':')
}
