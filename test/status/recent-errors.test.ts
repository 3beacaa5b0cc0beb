import t from 'tap'
import { RecentErrors } from '../../src/status/recent-errors.js'

t.test('the newest come first, and no more than there is room for are kept', async t => {
  const errors = new RecentErrors(3)
  for (let count = 1; count <= 5; count++) errors.add({ what: `error ${count}` }, count)
  t.same(
    errors.all.map(({ what }) => what),
    ['error 5', 'error 4', 'error 3'],
  )
})

t.test('the same thing again is counted, and drowns nothing else', async t => {
  const errors = new RecentErrors(3)
  const places = [{ upstream: 'main', repository: 'team/app' }]
  errors.add({ what: 'GET blob, 502', text: 'broke', places, user: 'ci' }, 1)
  errors.add({ what: 'cache, mismatch' }, 2)
  for (let at = 3; at < 1_000; at++)
    errors.add({ what: 'GET blob, 502', text: 'broke', places, user: 'ci' }, at)
  errors.add({ what: 'GET blob, 502', text: 'broke', places, user: 'dev' }, 1_000)
  t.match(errors.all, [
    { user: 'dev', times: 1, at: 1_000 },
    { user: 'ci', times: 998, at: 999 },
    { what: 'cache, mismatch', times: 1 },
  ])
})
