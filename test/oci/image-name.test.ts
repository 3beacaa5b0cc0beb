import t from 'tap'
import { parseImageName } from '../../src/oci/image-name.js'

const digest = `sha256:${'0a'.repeat(32)}`

t.test('images are named by tag, by digest, by both, or by neither', async t => {
  t.same(parseImageName('team/app:1.0'), { name: 'team/app', reference: { tag: '1.0' } })
  t.same(parseImageName('app'), { name: 'app', reference: { tag: 'latest' } })
  t.same(parseImageName(`team/app@${digest}`), { name: 'team/app', reference: { digest } })
  t.same(parseImageName(`team/app:1@${digest}`), { name: 'team/app', reference: { digest } })
  t.same(parseImageName('1.dkr.ecr.eu.amazonaws.com/a/b:c'), {
    name: '1.dkr.ecr.eu.amazonaws.com/a/b',
    reference: { tag: 'c' },
  })
})

t.test('what is no image name is none', async t => {
  for (const text of [
    '',
    ':1',
    'App:1',
    'a:',
    'a@',
    'a@1',
    'a@sha256:12',
    `a@${digest}@${digest}`,
    'a:b:c',
    'a b:1',
  ])
    t.equal(parseImageName(text), undefined, text)
})
