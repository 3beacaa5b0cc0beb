import t from 'tap'
import { ago, count, counted, dollars, percent, shortDigest, span } from '../../../src/status/page/words.js'

const HOUR = 3_600_000

t.test('times are in the units that people would take', async t => {
  t.same([0, 59_000, 60_000, HOUR - 1].map(span), ['0 s', '59 s', '1 min', '59 min'])
  t.same([HOUR, 11.7 * HOUR, 24 * HOUR, 49 * HOUR].map(span), ['1 h', '11 h 42 min', '1 d', '2 d 1 h'])
  t.same([-5, 4_000, 90_000].map(ago), ['just now', 'just now', '1 min ago'])
})

t.test('nearly all is not all, and little money is not none', async t => {
  t.same([0, 0.5, 0.934, 0.9996, 1].map(percent), ['0 %', '50 %', '93 %', '99.9 %', '100 %'])
  t.same([0, 0.001, 3.456, 12_345].map(dollars), ['$0.00', 'under $0.01', '$3.46', '$12,345.00'])
})

t.test('counts have their thousands apart, and one is one', async t => {
  t.equal(count(12_345), '12,345')
  t.equal(counted(1, 'client'), '1 client')
  t.equal(counted(0, 'client'), '0 clients')
  t.equal(shortDigest(`sha256:${'ab'.repeat(32)}`), `sha256:${'ab'.repeat(6)}`)
})
