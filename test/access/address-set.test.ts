import fc from 'fast-check'
import t from 'tap'
import { canonicalAddress, createAddressSet, isAddressRange } from '../../src/access/address-set.js'

t.test('an address has one way to be written', t => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:c000:0201', '192.0.2.1'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['::1', '::1'],
    ['', undefined],
    ['localhost', undefined],
    ['192.0.2.1:80', undefined],
    ['192.0.2', undefined],
    ['0300.0.2.1', undefined],
    ['192.0.2.1 ', undefined],
    ['[::1]', undefined],
  ]
  for (const [text, expected] of cases) t.equal(canonicalAddress(text), expected, text)
  t.end()
})

t.test('a range is an address with an optional length that fits it', t => {
  for (const text of [
    '10.0.0.0/8',
    '10.0.0.7',
    '0.0.0.0/0',
    '::/0',
    'fd00::/8',
    '::1',
    '::ffff:10.0.0.0/104',
  ]) {
    t.equal(isAddressRange(text), true, text)
  }
  for (const text of [
    '',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0/8',
    '::/129',
    'a/8',
    '1.2.3.4/8/8',
    '*',
  ]) {
    t.equal(isAddressRange(text), false, text)
  }
  for (const text of ['fe80::1%eth0/64', '::ffff:10.0.0.0/95', '10.0.0.0/8 '])
    t.equal(isAddressRange(text), false, text)
  t.end()
})

t.test('a set has the addresses of its ranges, however they are written', t => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['10.20.0.0/16', '10.20.255.255', true],
    ['10.20.0.0/16', '10.21.0.0', false],
    ['10.20.9.9/16', '10.20.0.1', true],
    ['10.20.0.0/16', '::ffff:10.20.0.1', true],
    ['10.20.0.0/16', '::ffff:a14:1', true],
    ['::ffff:10.20.0.0/112', '10.20.0.1', true],
    ['::ffff:10.20.0.0/112', '10.21.0.1', false],
    ['10.0.0.7', '10.0.0.7', true],
    ['10.0.0.7', '10.0.0.8', false],
    ['0.0.0.0/0', '203.0.113.9', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['::/0', '2001:db8::1', true],
    ['::/0', '203.0.113.9', false],
    ['fd00::/8', 'fdff:1::2', true],
    ['fd00::/8', 'fe00::1', false],
    ['fe80::/10', 'fe80::1%eth0', true],
    ['10.0.0.0/8', 'unknown', false],
    ['10.0.0.0/8', '', false],
  ]
  for (const [range, address, has] of cases)
    t.equal(createAddressSet([range]).has(address), has, `${range} ${address}`)
  t.equal(createAddressSet([]).has('10.0.0.1'), false)
  t.throws(() => createAddressSet(['10.0.0.0/99']), TypeError)
  t.end()
})

t.test('every IPv4 range has the addresses whose first bits are its own', t => {
  const number = fc.integer({ min: 0, max: 0xffff_ffff })
  const dotted = (value: number): string => [24, 16, 8, 0].map(shift => (value >>> shift) & 255).join('.')
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(number, number, fc.integer({ min: 0, max: 32 }), (base, other, length) => {
        // Half of the time the two share their beginning.
        const address = other % 2 === 0 ? other : (base ^ (other >>> 16)) >>> 0
        const mask = length === 0 ? 0 : (0xffff_ffff << (32 - length)) >>> 0
        const expected = (base & mask) >>> 0 === (address & mask) >>> 0
        return createAddressSet([`${dotted(base)}/${length}`]).has(dotted(address)) === expected
      }),
    ),
  )
  t.end()
})
