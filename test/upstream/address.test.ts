import t from 'tap'
import { kindOfAddress, type AddressKind } from '../../src/upstream/address.js'

const kinds: Record<AddressKind, string[]> = {
  public: [
    '52.216.0.1',
    '8.8.8.8',
    '2600:1f18::1',
    '64:ff9b::3412:1',
    '64:ff9b::52.216.0.1',
    '::ffff:8.8.8.8',
  ],
  private: [
    '10.0.0.1',
    '10.255.255.255',
    '100.64.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    'fc00::1',
    'fd12:3456::1',
    '::ffff:10.0.0.1',
    '::ffff:a00:1',
    '64:ff9b::10.0.0.1',
  ],
  loopback: [
    '127.0.0.1',
    '127.255.255.254',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::ffff:127.0.0.1',
    '::FFFF:7F00:1',
    '64:ff9b::127.0.0.1',
  ],
  never: [
    '0.0.0.0',
    '0.1.2.3',
    '169.254.169.254',
    '169.254.170.2',
    '224.0.0.1',
    '255.255.255.255',
    '240.0.0.1',
    '192.0.2.1',
    '198.18.0.1',
    '::',
    '::127.0.0.1',
    'fd00:ec2::254',
    'fd00:ec2::23',
    'fe80::1',
    'fe80::1%eth0',
    'fec0::1',
    'ff02::1',
    '2001:db8::1',
    '2001:0:1::1',
    '2002:7f00:1::',
    '::ffff:169.254.169.254',
    '::ffff:0.0.0.1',
    '64:ff9b::169.254.169.254',
    '64:ff9b::0.0.0.1',
    'localhost',
    '127.1',
    '0x7f.1',
    '',
  ],
}

for (const [kind, addresses] of Object.entries(kinds)) {
  for (const address of addresses) {
    t.test(`"${address}" is ${kind}`, t => {
      t.equal(kindOfAddress(address), kind)
      t.end()
    })
  }
}

t.test('the neighbours of private blocks are public', t => {
  for (const address of [
    '9.255.255.255',
    '11.0.0.0',
    '172.15.255.255',
    '172.32.0.0',
    '192.169.0.0',
    '100.128.0.0',
    '169.253.0.1',
  ]) {
    t.equal(kindOfAddress(address), 'public', address)
  }
  t.end()
})
