import t from 'tap'
import { Budget } from '../../src/budget.js'
import { Slots } from '../../src/store/slots.js'
import { failureOf } from './support/cache-stand.js'
import { FakeClock, settled } from './support/fake-clock.js'

const never = new AbortController().signal

t.test('so many at a time, then in the order in which they came', async t => {
  const budget = new Budget(1)
  const slots = new Slots(budget, new FakeClock())
  const giveBack = await slots.take(never)
  const order: number[] = []
  const later = [1, 2].map(async each => {
    const back = await slots.take(never)
    order.push(each)
    back()
  })
  await settled()
  t.same([order, slots.waiting, budget.inUse], [[], 2, 1])
  giveBack()
  await Promise.all(later)
  t.same([order, slots.waiting, budget.inUse, budget.refusals], [[1, 2], 0, 0, 0])
})

t.test('who waits too long is refused, and who leaves is forgotten', async t => {
  const clock = new FakeClock()
  const budget = new Budget(1)
  const slots = new Slots(budget, clock)
  const giveBack = await slots.take(never)
  const late = failureOf(slots.take(never))
  const leaving = new AbortController()
  const left = failureOf(slots.take(leaving.signal))
  leaving.abort('left')
  t.equal(await left, 'left')
  t.equal(await failureOf(slots.take(AbortSignal.abort('gone'))), 'gone')
  await clock.advance(5_000)
  t.match(await late, { code: 'TOOMANYREQUESTS', status: 503, retryAfter: 1 })
  t.same([slots.waiting, clock.pending, budget.refusals], [0, 0, 1])
  giveBack()
  t.equal(budget.inUse, 0)
})
