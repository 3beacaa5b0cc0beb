import t from 'tap'
import { failed, ok, skipped, warning } from '../../src/check/finding.js'
import { asJson, asText, isWell } from '../../src/check/report.js'

const all = [
  ok('a', 'fine'),
  warning('b', 'soon', 'renew'),
  skipped('c', 'no need'),
  failed('d', 'bad', 'mend'),
]

t.test('a line each, its sign first', async t => {
  t.equal(asText(all), '✓ a: fine\n! b: soon → renew\n- c: not tried: no need\n✗ d: bad → mend\n')
})

t.test('what others say cannot write on the terminal, nor begin a line of its own', async t => {
  const text = asText([failed('a', 'one\n✓ b: two\u001b[2J\u202e\r\u2028', 'mend')])
  t.equal(text, '✗ a: one ✓ b: two [2J  → mend\n')
})

t.test('only what failed is not well', async t => {
  t.equal(isWell(all), false)
  t.equal(isWell(all.slice(0, 3)), true)
  t.match(JSON.parse(asJson(all)), { ok: false, checks: [{ name: 'a', result: 'ok', detail: 'fine' }] })
})
