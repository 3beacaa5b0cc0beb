import t from 'tap'
import { toml } from '../../src/client-config/toml.js'

t.test('tables, keys and values are written as TOML 1.0 has them', t => {
  t.equal(
    toml([
      { path: [], entries: { server: 'https://a', version: 2 } },
      { path: ['host', 'https://a:1', 'header'], entries: { Authorization: 'Basic x', plain_http: true } },
      { path: ['registry'], repeated: true, entries: { mirrors: ['a', 'b'] } },
    ]),
    `\
server = "https://a"
version = 2

[host."https://a:1".header]
Authorization = "Basic x"
plain_http = true

[[registry]]
mirrors = ["a", "b"]
`,
  )
  t.end()
})

t.test('what would end a string or a line is escaped', t => {
  t.equal(
    toml([{ path: ['a "b"'], entries: { 'c.d': '"\\\n\u0001\x7f$é' } }]),
    '["a \\"b\\""]\n"c.d" = "\\"\\\\\\n\\u0001\\u007f$é"\n',
  )
  t.end()
})

t.test('comments come first', t => {
  t.equal(toml([{ path: ['a'], entries: {} }], ['one', 'two']), '# one\n# two\n\n[a]\n')
  t.end()
})
