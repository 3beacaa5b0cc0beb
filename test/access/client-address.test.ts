import t from 'tap'
import { createAddressSet } from '../../src/access/address-set.js'
import { clientAddress } from '../../src/access/client-address.js'

const trustedProxies = createAddressSet(['10.0.0.7/32', '10.0.1.0/24', 'fd00::7'])

const cases: readonly (readonly [string, string | undefined, string | undefined, string | undefined])[] = [
  ['the peer itself', '192.0.2.1', undefined, '192.0.2.1'],
  ['a peer on a socket for both families', '::ffff:192.0.2.1', undefined, '192.0.2.1'],
  ['an IPv6 peer', '2001:db8::1', undefined, '2001:db8::1'],
  ['a peer that has gone', undefined, undefined, undefined],
  ['a peer that has gone, with the header', undefined, '192.0.2.1', undefined],
  ['a trusted proxy', '10.0.0.7', '192.0.2.1', '192.0.2.1'],
  ['a trusted proxy on a socket for both families', '::ffff:10.0.0.7', '192.0.2.1', '192.0.2.1'],
  ['a trusted proxy over IPv6', 'fd00::7', '2001:DB8::1', '2001:db8::1'],
  ['a trusted proxy behind another', '10.0.0.7', '192.0.2.1, 10.0.1.9', '192.0.2.1'],
  ['what a client wrote before', '10.0.0.7', '10.20.0.1, 192.0.2.1, 10.0.1.9', '192.0.2.1'],
  ['an address that a client says is a proxy', '10.0.0.7', '10.20.0.1,10.0.1.1,192.0.2.1', '192.0.2.1'],
  ['with a port', '10.0.0.7', '192.0.2.1:4711', '192.0.2.1'],
  ['with a port, IPv6', '10.0.0.7', '[2001:db8::1]:4711', '2001:db8::1'],
  ['a trusted proxy without the header', '10.0.0.7', undefined, undefined],
  ['a trusted proxy with an empty header', '10.0.0.7', '', undefined],
  ['nothing but trusted proxies', '10.0.0.7', '10.0.1.1, 10.0.1.2', undefined],
  ['nonsense', '10.0.0.7', 'unknown', undefined],
  ['nonsense in front of which an address stands', '10.0.0.7', '192.0.2.1, unknown', undefined],
  ['a comma too many', '10.0.0.7', '192.0.2.1,', undefined],
  ['anybody else with the header', '192.0.2.1', '10.20.0.1', undefined],
  ['anybody else with an empty header', '192.0.2.1', '', undefined],
]

t.test('a request comes from its peer or from whom a trusted proxy names', t => {
  for (const [name, peer, forwardedFor, expected] of cases) {
    t.equal(clientAddress({ peer, forwardedFor, trustedProxies }), expected, name)
  }
  t.end()
})

t.test('nobody is a trusted proxy by default', t => {
  const none = createAddressSet([])
  t.equal(clientAddress({ peer: '127.0.0.1', forwardedFor: '10.20.0.1', trustedProxies: none }), undefined)
  t.equal(clientAddress({ peer: '127.0.0.1', forwardedFor: undefined, trustedProxies: none }), '127.0.0.1')
  t.end()
})
