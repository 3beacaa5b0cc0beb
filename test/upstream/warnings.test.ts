import t from 'tap'
import { warningsIn } from '../../src/upstream/warnings.js'

t.test('warnings of the form of the specification are joined to one header', async t => {
  t.equal(warningsIn(undefined), undefined)
  t.equal(warningsIn('299 - "old client"'), '299 - "old client"')
  t.equal(warningsIn(['299 - "one"', '299 - "two, and three"']), '299 - "one", 299 - "two, and three"')
  t.equal(warningsIn('299 - "one" , 299 - "two"'), '299 - "one", 299 - "two"')
  t.equal(warningsIn('299 - "a \\"quoted\\" word"'), '299 - "a \\"quoted\\" word"')
  t.equal(warningsIn('299 - ""'), '299 - ""')
})

t.test('what is no such warning is left out', async t => {
  for (const header of [
    ...['', 'x', '299', '299 - x', '299 - "x', '299 - x"', '110 - "stale"', '299 host "x"', '299  - "x"'],
    ...[
      '299 - "x" "Tue, 01 Dec 2026 00:00:00 GMT"',
      '299 - "x"; y',
      '299 - "a\tb"',
      '299 - "é"',
      '299 - "a\\b"',
    ],
    ...['299 - "a\r\nSet-Cookie: x"', '299 - "\x7f"', `299 - "${'x'.repeat(320)}"`, '"'.repeat(10_000)],
  ])
    t.equal(warningsIn(header), undefined, header.slice(0, 60))
  t.equal(warningsIn(['no', '299 - "yes"', '299 - "x']), '299 - "yes"')
})

t.test('no more than four are passed on, and none that names anything of AWS', async t => {
  const many = Array.from({ length: 1_000 }, (_, index) => `299 - "${index}"`)
  t.equal(warningsIn(many), many.slice(0, 4).join(', '))
  t.equal(warningsIn(many.join(', ')), many.slice(0, 4).join(', '))
  const away = [
    '299 - "use 1.dkr.ecr.us-east-1.amazonaws.com"',
    '299 - "arn:aws:iam::1:role/x"',
    '299 - "X-Amz-Signature=1"',
  ]
  t.equal(warningsIn([...away, '299 - "yes"']), '299 - "yes"')
})
