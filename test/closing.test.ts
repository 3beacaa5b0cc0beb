import t from 'tap'
import { closedOnFailure, Closing } from '../src/closing.js'

t.test('what was opened is closed once, the last first, also where closing one fails', async t => {
  const closing = new Closing()
  const closed: string[] = []
  closing.add(() => closed.push('first'))
  closing.add(() => Promise.reject(new Error('second')))
  closing.add(async () => {
    await Promise.resolve()
    closed.push('third')
  })
  await t.rejects(closing.close(), { message: 'second' })
  t.same(closed, ['third', 'first'])
  await closing.close()
  t.same(closed, ['third', 'first'])
})

t.test('work that fails leaves nothing open, and its own failure is told', async t => {
  let closed = 0
  const failing = closedOnFailure(closing => {
    closing.add(() => closed++)
    closing.add(() => Promise.reject(new Error('of closing')))
    return Promise.reject(new Error('of the work'))
  })
  await t.rejects(failing, { message: 'of the work' })
  t.equal(closed, 1)
  await closedOnFailure(async closing => closing.add(() => closed++))
  t.equal(closed, 1, 'what went well stays open')
})
