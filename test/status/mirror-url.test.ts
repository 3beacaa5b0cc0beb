import t from 'tap'
import { mirrorUrl } from '../../src/status/mirror-url.js'

t.test('clients find the mirror where the page was found, at their own port', async t => {
  const own = ['https://0.0.0.0:5000']
  t.equal(mirrorUrl('mirror.internal:5001', own), 'https://mirror.internal:5000')
  t.equal(mirrorUrl('10.1.2.3:5001', own), 'https://10.1.2.3:5000')
  t.equal(mirrorUrl('[::1]:5001', own), 'https://[::1]:5000')
  t.equal(mirrorUrl('mirror.internal', ['http://127.0.0.1:80']), 'http://mirror.internal')
})

t.test('a Host header that is none changes nothing', async t => {
  for (const host of [
    undefined,
    '',
    ' ',
    'a b',
    '<script>',
    'a/../b',
    'user@evil',
    'x"y',
    'a:99999',
    '$(id)',
    '`id`',
  ])
    t.equal(mirrorUrl(host, ['http://127.0.0.1:5000']), 'http://127.0.0.1:5000', host ?? 'none')
})
