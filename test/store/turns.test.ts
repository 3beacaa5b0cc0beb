import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { Turns } from '../../src/store/turns.js'

t.test('tasks of one key run one after another, those of several side by side', async t => {
  const turns = new Turns()
  const said: string[] = []
  const task = (name: string) => async (): Promise<string> => {
    said.push(`${name} begins`)
    await turn()
    said.push(`${name} ends`)
    return name
  }
  const results = Promise.all([
    turns.take('a', task('a1')),
    turns.take('a', task('a2')),
    turns.take('b', task('b1')),
  ])
  t.same([turns.busy('a'), turns.busy('b'), turns.busy('c')], [true, true, false])
  t.same(await results, ['a1', 'a2', 'b1'])
  t.ok(said.indexOf('a1 ends') < said.indexOf('a2 begins'))
  t.ok(said.indexOf('b1 begins') < said.indexOf('a1 ends'))
  t.same([turns.busy('a'), turns.busy('b')], [false, false])
})

t.test('a task that fails fails its own caller only', async t => {
  const turns = new Turns()
  const failing = turns.take('a', () => Promise.reject(new Error('no')))
  const next = turns.take('a', async () => 'yes')
  await t.rejects(failing, { message: 'no' })
  t.equal(await next, 'yes')
  t.equal(turns.busy('a'), false)
})
