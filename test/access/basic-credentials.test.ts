import fc from 'fast-check'
import t from 'tap'
import { parseBasicCredentials } from '../../src/access/basic-credentials.js'

const basic = (text: string | Uint8Array): string => `Basic ${Buffer.from(text).toString('base64')}`

t.test('credentials are read from the Basic scheme', t => {
  const cases: readonly (readonly [string, string, string])[] = [
    [basic('ci:secret'), 'ci', 'secret'],
    [basic('ci:a:b::c'), 'ci', 'a:b::c'],
    [basic('ci:'), 'ci', ''],
    [basic('ci:pässwörd✓'), 'ci', 'pässwörd✓'],
    [basic('ci:\uFEFFpw'), 'ci', '\uFEFFpw'],
    [basic('ci: pw '), 'ci', ' pw '],
    [basic('AWS:x').replace('Basic', 'bAsIc'), 'AWS', 'x'],
    [basic('ci:secret').replace(' ', '   '), 'ci', 'secret'],
  ]
  for (const [header, user, password] of cases)
    t.same(parseBasicCredentials(header), { user, password }, header)
  t.end()
})

t.test('anything else is no credentials', t => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ['no header', undefined],
    ['an empty header', ''],
    ['the scheme alone', 'Basic'],
    ['the scheme and a space', 'Basic '],
    ['no space', 'BasicY2k6cHc='],
    ['an empty user and password', 'Basic Og=='],
    ['an empty user', basic(':password')],
    ['no colon', basic('ci')],
    ['Bearer', 'Bearer Y2k6cHc='],
    ['Negotiate', 'Negotiate Y2k6cHc='],
    ['base64url', basic('ci:\u00ff\u00ff\u00ff').replaceAll('/', '_').replaceAll('+', '-')],
    ['base64 without its padding', basic('ci:pw').replaceAll('=', '')],
    ['padding too much', 'Basic Y2k6cHc=='],
    ['bits behind the end', 'Basic Y2k6cHd='.replace('d=', 'd=').replace('cHd', 'cHe')],
    ['a character that is not base64', 'Basic Y2k6c!Hc='],
    ['something behind it', `${basic('ci:pw')} x`],
    ['two credentials', `${basic('ci:pw')}, ${basic('ci:pw')}`],
    ['a space in front', ` ${basic('ci:pw')}`],
    ['a tab in between', basic('ci:pw').replace(' ', '\t')],
    ['a NUL', basic('ci:p\0w')],
    ['a line break', basic('ci:pw\r\nX-Evil: 1')],
    ['a tab in the user', basic('c\ti:pw')],
    ['DEL', basic('ci:p\x7fw')],
    ['a control character of C1', basic('ci:p\u0085w')],
    ['bytes that are not UTF-8', basic(Uint8Array.of(0x63, 0x69, 0x3a, 0xe4))],
    ['an overlong encoding', basic(Uint8Array.of(0x63, 0x3a, 0xc0, 0xaf))],
    ['more than 8 KiB', basic(`ci:${'x'.repeat(8192)}`)],
  ]
  for (const [name, header] of cases) t.equal(parseBasicCredentials(header), undefined, name)
  t.end()
})

t.test('whatever user and password a client may send come through as they are', t => {
  const printable = fc.string({ unit: 'binary', maxLength: 60 }).filter(text => !/\p{Cc}/u.test(text))
  const user = printable.filter(text => text !== '' && !text.includes(':'))
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(user, printable, (user, password) => {
        const parsed = parseBasicCredentials(basic(`${user}:${password}`))
        return parsed?.user === user && parsed.password === password
      }),
    ),
  )
  t.end()
})

t.test('no header makes it throw, and what it takes has no control characters', t => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.uint8Array().map(basic)), header => {
        const parsed = parseBasicCredentials(header)
        return (
          parsed === undefined || (parsed.user !== '' && !/[\p{Cc}]/u.test(parsed.user + parsed.password))
        )
      }),
      { numRuns: 5000 },
    ),
  )
  t.end()
})
