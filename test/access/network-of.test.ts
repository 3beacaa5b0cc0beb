import t from 'tap'
import { networkOf } from '../../src/access/network-of.js'

t.test('an IPv4 address stands for itself, however it is written', t => {
  t.equal(networkOf('192.0.2.1'), '192.0.2.1')
  t.equal(networkOf('::ffff:192.0.2.1'), '192.0.2.1')
  t.end()
})

t.test('an IPv6 address stands for its /64', t => {
  const one = networkOf('2001:db8:0:7::1')
  for (const same of [
    '2001:db8::7:0:0:0:2',
    '2001:0DB8:0:7:ffff:ffff:ffff:ffff',
    '2001:db8:0:7::',
    '2001:db8:0:7::1%eth0',
  ])
    t.equal(networkOf(same), one, same)
  for (const other of ['2001:db8:0:8::1', '2001:db8::1', '::1', '2001:db8:1:7::1'])
    t.not(networkOf(other), one, other)
  t.equal(networkOf('::1'), networkOf('::2'))
  t.equal(networkOf('fe80::'), networkOf('fe80::1:2:3:4'))
  t.not(networkOf('fe80::'), networkOf('fe80:1::'))
  t.end()
})

t.test('what is no address stands for itself', t => {
  t.equal(networkOf(''), '')
  t.equal(networkOf('pipe'), 'pipe')
  t.end()
})
