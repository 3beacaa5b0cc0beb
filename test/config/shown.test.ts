import t from 'tap'
import { shown, shownKey } from '../../src/config/shown.js'

const NOT = 'a value that is not shown here'

for (const text of [
  'loud',
  '25 weeks',
  '0.0.0.0:5000x',
  '127.0.0.1:70000',
  '10.0.0.7/33',
  '::1',
  'fd00::/200',
])
  t.test(`${text} is shown`, async t =>
    t.equal(shown(text), text.includes('5000x') ? NOT : JSON.stringify(text)),
  )

t.test('names of hosts, roles and repositories are shown', async t => {
  for (const text of [
    '123456789012.dkr.ecr.us-east-1.example',
    'mirror.internal:5000',
    'arn:aws:iam::12:role/x',
    'team/**',
    'https://mirror.internal/path',
    'docker_hub',
  ])
    t.equal(shown(text), JSON.stringify(text))
})

t.test('what may be a secret is not', async t => {
  for (const text of [
    'ci:hunter2',
    'ci:$2y$10$abcdefghijklmnopqrstuu',
    'correcthorse42battery',
    'wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY',
    'AKIAIOSFODNN7EXAMPLE',
    '0123456789abcdef0123456789abcdef',
  ])
    t.equal(shown(text), NOT, text)
})

t.test('of a URL neither user nor query is shown, and of a long text its beginning', async t => {
  t.equal(shown('https://ci:hunter2@mirror.internal/'), '"https://…@mirror.internal/"')
  t.equal(shown('https://mirror.internal/?token=hunter2'), '"https://mirror.internal/…"')
  t.equal(shown('x '.repeat(500)).length, 66)
})

t.test('a key is shown that could be the name of a setting', async t => {
  for (const key of ['drainTimout', '__proto__', 'log-level']) t.equal(shownKey(key), key)
  for (const key of ['ci:hunter2', 'hunter2', 'a b', 'x'.repeat(40), '', 'é'])
    t.equal(shownKey(key), '(a key that is not shown here)', key)
})
