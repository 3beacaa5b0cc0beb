import { BlockList, isIPv4, isIPv6 } from 'node:net'

/**
 * What kind of place an address is: `never` are those that no registry can have (link-local with the metadata
 * services of clouds, unspecified, multicast, reserved). IANA special-purpose address registries, RFC 6890.
 */
export type AddressKind = 'public' | 'private' | 'loopback' | 'never'

const LOOPBACK = listOf(['127.0.0.0/8'], ['::1/128'])

const PRIVATE = listOf(
  ['10.0.0.0/8', '100.64.0.0/10', '172.16.0.0/12', '192.168.0.0/16'],
  ['fc00::/7', '64:ff9b:1::/48'],
)

const NEVER = listOf(
  [
    '0.0.0.0/8',
    '169.254.0.0/16',
    '192.0.0.0/24',
    '192.0.2.0/24',
    '198.18.0.0/15',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '224.0.0.0/4',
    '240.0.0.0/4',
  ],
  // The last is where EC2 has its metadata, DNS and pod identity services.
  [
    '::/96',
    '64:ff9b::/112',
    '100::/64',
    '2001::/23',
    '2001:db8::/32',
    '2002::/16',
    'fe80::/10',
    'fec0::/10',
    'ff00::/8',
    'fd00:ec2::/32',
  ],
)

/** Anything that is not an IP address is `never`. */
export function kindOfAddress(address: string): AddressKind {
  const embedded = embeddedIPv4(address)
  if (embedded !== undefined) return kindOfAddress(embedded)
  const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : undefined
  if (family === undefined) return 'never'
  // A zone (`fe80::1%eth0`) only goes with link-local addresses.
  if (address.includes('%')) return 'never'
  if (LOOPBACK.check(address, family)) return 'loopback'
  if (NEVER.check(address, family)) return 'never'
  return PRIVATE.check(address, family) ? 'private' : 'public'
}

/** IPv4-mapped, and NAT64's well-known prefix, in the form that URL gives IPv6 addresses (RFC 5952). */
const EMBEDDING = /^\[(?:::ffff|64:ff9b:):([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/

/** The IPv4 address that an IPv6 one stands for. */
function embeddedIPv4(address: string): string | undefined {
  if (!isIPv6(address) || address.includes('%')) return undefined
  const [, high, low] = EMBEDDING.exec(new URL(`http://[${address}]`).hostname) ?? []
  if (high === undefined || low === undefined) return undefined
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)]
  return [a >> 8, a & 255, b >> 8, b & 255].join('.')
}

function listOf(ipv4: readonly string[], ipv6: readonly string[]): BlockList {
  const list = new BlockList()
  for (const [family, blocks] of [
    ['ipv4', ipv4],
    ['ipv6', ipv6],
  ] as const) {
    for (const block of blocks) {
      const [network = '', prefix] = block.split('/')
      list.addSubnet(network, Number(prefix), family)
    }
  }
  return list
}
