import { BlockList, isIPv4, isIPv6 } from 'node:net'

/**
 * What kind of place an address is: `never` are those that no registry can have (metadata services of clouds,
 * link-local, unspecified, multicast, reserved). By the special-purpose address registries of IANA (RFC 6890).
 */
export type AddressKind = 'public' | 'private' | 'loopback' | 'never'

const LOOPBACK = listOf(['127.0.0.0/8'], ['::1/128'])

const PRIVATE = listOf(['10.0.0.0/8', '100.64.0.0/10', '172.16.0.0/12', '192.168.0.0/16'], ['fc00::/7'])

const NEVER = listOf(
  [
    '0.0.0.0/8',
    '169.254.0.0/16',
    '192.0.0.0/24',
    '192.0.2.0/24',
    // 6to4 relays, deprecated (RFC 7526).
    '192.88.99.0/24',
    '198.18.0.0/15',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '224.0.0.0/4',
    '240.0.0.0/4',
    // Alibaba Cloud's metadata, and Azure's host agent, outside the blocks where others have theirs.
    '100.100.100.200/32',
    '168.63.129.16/32',
  ],
  [
    // The deprecated IPv4-compatible addresses (RFC 4291, section 2.5.5.1).
    '::/96',
    '100::/64',
    '100:0:0:1::/64',
    // Teredo among others, which leads to a client behind any IPv4 address (RFC 4380).
    '2001::/23',
    '2001:db8::/32',
    // 6to4 (RFC 7526).
    '2002::/16',
    // Documentation (RFC 9637) and segment routing (RFC 9602).
    '3fff::/20',
    '5f00::/16',
    'fe80::/10',
    'fec0::/10',
    'ff00::/8',
    // Where EC2 has its metadata, DNS and pod identity services; metadata of Google Cloud, Oracle Cloud and Scaleway.
    'fd00:ec2::/32',
    'fd20:ce::/32',
    'fd00:c1::/32',
    'fd00:42::/32',
  ],
)

/** The worst first. */
const KINDS = ['never', 'loopback', 'private', 'public'] as const satisfies readonly AddressKind[]

/**
 * Anything that is not an IP address is `never`. An IPv6 address that a translator or a tunnel takes for an IPv4 one is
 * of that one's kind, if it is worse.
 */
export function kindOfAddress(address: string): AddressKind {
  if (isIPv4(address)) return kindIn(address, 'ipv4')
  // A zone (`fe80::1%eth0`) only goes with link-local addresses.
  if (!isIPv6(address) || address.includes('%')) return 'never'
  const kinds = [kindIn(address, 'ipv6'), ...embeddedIPv4(bytesOf(address)).map(each => kindIn(each, 'ipv4'))]
  return KINDS.find(kind => kinds.includes(kind)) ?? 'never'
}

function kindIn(address: string, family: 'ipv4' | 'ipv6'): AddressKind {
  if (LOOPBACK.check(address, family)) return 'loopback'
  if (NEVER.check(address, family)) return 'never'
  return PRIVATE.check(address, family) ? 'private' : 'public'
}

/** Where an address has an IPv4 address: the first bytes that tell so, and the places of its four. */
const EMBEDDINGS: readonly {
  readonly at: number
  readonly is: string
  readonly places: readonly number[][]
}[] = [
  // IPv4-mapped (RFC 4291, section 2.5.5.2), and IPv4-translated (RFC 2765, section 2.1).
  { at: 0, is: '00000000000000000000ffff', places: [[12, 13, 14, 15]] },
  { at: 0, is: '0000000000000000ffff0000', places: [[12, 13, 14, 15]] },
  // NAT64's well-known prefix (RFC 6052, section 2.1).
  { at: 0, is: '0064ff9b0000000000000000', places: [[12, 13, 14, 15]] },
  // A network's own NAT64 (RFC 8215), which may have a prefix of any of these lengths (RFC 6052, section 2.2).
  {
    at: 0,
    is: '0064ff9b0001',
    places: [
      [6, 7, 9, 10],
      [7, 9, 10, 11],
      [9, 10, 11, 12],
      [12, 13, 14, 15],
    ],
  },
  // ISATAP, in any network (RFC 5214, section 6.1).
  { at: 8, is: '00005efe', places: [[12, 13, 14, 15]] },
  { at: 8, is: '02005efe', places: [[12, 13, 14, 15]] },
]

/** The IPv4 addresses that an IPv6 one may stand for. */
function embeddedIPv4(bytes: Buffer): string[] {
  const embedding = EMBEDDINGS.find(({ at, is }) => bytes.toString('hex', at, at + is.length / 2) === is)
  if (!embedding) return []
  const all = embedding.places.map(places => places.map(place => bytes[place] ?? 0))
  // Of several places those that no network can mean are empty (0.0.0.0/8, RFC 1122), unless all are.
  const meant = all.filter(([first]) => first !== 0)
  return (meant.length > 0 ? meant : all).map(each => each.join('.'))
}

/** The 16 bytes of an IPv6 address. */
function bytesOf(address: string): Buffer {
  // In the form that URL gives it (RFC 5952): without dots, and shortened once at most.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const groups = (text = ''): string[] => (text === '' ? [] : text.split(':'))
  const [before, after] = [groups(head), groups(tail)]
  const zeros = Array<string>(8 - before.length - after.length).fill('0')
  const hex = [...before, ...zeros, ...after].map(group => group.padStart(4, '0')).join('')
  return Buffer.from(hex, 'hex')
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
