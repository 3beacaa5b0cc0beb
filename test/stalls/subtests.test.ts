import t from 'tap'
import { Subtests } from './subtests.js'

t.test('a time belongs to the test that was begun last before it', async t => {
  const subtests = new Subtests()
  subtests.read('TAP version 14\n# Subtest: one\n    ok 1\n', 10)
  subtests.read('    # Subtest: in one\n', 20)
  subtests.read('ok 1 - one\n# Subtest: t', 30)
  subtests.read('wo\n', 40)
  t.same(
    [5, 10, 25, 35, 50].map(time => subtests.at(time)),
    [undefined, 'one', 'in one', 'in one', 'two'],
  )
})
