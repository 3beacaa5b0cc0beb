import { BlockList, isIP, isIPv4 } from 'node:net'

/** A set of IP addresses. */
export interface AddressSet {
  /** False for what is no address. */
  has(address: string): boolean
}

/**
 * The one way to write an address: IPv4 in dotted decimal also when it comes mapped into IPv6 (RFC 4291, section
 * 2.5.5.2), as sockets that listen on both give it; IPv6 in the short form, without a zone. Undefined when it is none.
 */
export function canonicalAddress(text: string): string | undefined {
  const address = text.replace(/%.*$/s, '')
  if (isIPv4(address)) return address
  if (isIP(address) !== 6) return undefined
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short)
  if (!mapped) return short
  const [high, low] = [parseInt(mapped[1] ?? '', 16), parseInt(mapped[2] ?? '', 16)]
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

/** A range of addresses: `10.20.0.0/16`, `fd00::/8`; without a length it is the one address. */
interface Range {
  readonly address: string
  readonly family: 'ipv4' | 'ipv6'
  readonly length: number
}

function parseRange(text: string): Range | undefined {
  const [before = '', after, ...more] = text.split('/')
  if (more.length > 0 || isIP(before) === 0 || before.includes('%')) return undefined
  const address = canonicalAddress(before)
  if (address === undefined) return undefined
  const family = isIPv4(address) ? 'ipv4' : 'ipv6'
  const bits = family === 'ipv4' ? 32 : 128
  if (after === undefined) return { address, family, length: bits }
  // A range of mapped IPv4 addresses counts the 96 bits in front of them.
  const length = /^\d{1,3}$/.test(after) ? Number(after) - (isIPv4(before) || family === 'ipv6' ? 0 : 96) : -1
  return length < 0 || length > bits ? undefined : { address, family, length }
}

/** Whether `text` is an address or a range in CIDR notation (RFC 4632, RFC 4291). */
export function isAddressRange(text: string): boolean {
  return parseRange(text) !== undefined
}

/** The addresses in any of the ranges. Throws a TypeError on what `isAddressRange` refuses. */
export function createAddressSet(ranges: readonly string[]): AddressSet {
  if (ranges.length === 0) return { has: () => false }
  // One list for both would take IPv4 addresses for mapped ones, which `::/0` then has in it.
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const text of ranges) {
    const range = parseRange(text)
    if (!range) throw new TypeError('not an address range in CIDR notation')
    lists[range.family].addSubnet(range.address, range.length, range.family)
  }
  return {
    has(address) {
      const canonical = canonicalAddress(address)
      if (canonical === undefined) return false
      const family = isIPv4(canonical) ? 'ipv4' : 'ipv6'
      return lists[family].check(canonical, family)
    },
  }
}
