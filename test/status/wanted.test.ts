import t from 'tap'
import { imageKey, Wanted } from '../../src/status/wanted.js'

const app = { upstream: 'main', repository: 'team/app' }
const base = { upstream: 'main', repository: 'base' }

t.test('images are counted by tag and by digest, the most wanted first', async t => {
  const wanted = new Wanted()
  wanted.add(base, '1.0', 1)
  wanted.add(app, 'v1', 2)
  wanted.add(app, 'v1', 3)
  wanted.add(app, 'sha256:ab', 4)
  t.same(wanted.inOrder(), [
    { ...app, reference: 'v1', times: 2, at: 3 },
    { ...app, reference: 'sha256:ab', times: 1, at: 4 },
    { ...base, reference: '1.0', times: 1, at: 1 },
  ])
  t.equal(wanted.times(app, 'v1'), 2)
  t.equal(wanted.times(app, 'v2'), 0)
  t.equal(imageKey(app, 'v1'), 'main/team/app:v1')
  t.equal(imageKey(app, 'sha256:ab'), 'main/team/app@sha256:ab')
})

t.test('however many there are, only so many are kept, and what is wanted stays', async t => {
  const wanted = new Wanted(10)
  for (let count = 0; count < 1_000; count++) {
    wanted.add(app, `v${count}`, count)
    wanted.add(base, '1.0', count)
  }
  t.equal(wanted.inOrder().length, 10)
  t.equal(wanted.times(base, '1.0'), 1_000)
  t.equal(wanted.times(app, 'v0'), 0)
})
