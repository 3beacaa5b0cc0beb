import t from 'tap'
import { Drops } from '../../src/store/drops.js'

t.test('what was learnt before a drop does not hold, what was learnt after it does', async t => {
  const drops = new Drops()
  const before = drops.now
  t.ok(drops.holds(before, 'a'))
  drops.drop('a')
  t.notOk(drops.holds(before, 'a'))
  t.ok(drops.holds(before, 'b'), 'of something else it does')
  t.notOk(drops.holds(before, 'b', 'a'))
  t.ok(drops.holds(drops.now, 'a'))
  t.ok(drops.holds(drops.last('a'), 'a'))
})

t.test('what is no longer remembered counts as dropped, and nothing old gets through', async t => {
  const drops = new Drops(3)
  const before = drops.now
  for (const key of ['a', 'b', 'c', 'd']) drops.drop(key)
  for (const key of ['a', 'b', 'c', 'd']) t.notOk(drops.holds(before, key), key)
  t.ok(drops.holds(drops.now, 'a'))
  t.notOk(drops.holds(before, 'e'), 'a key of which nothing is remembered could have been dropped')
})
