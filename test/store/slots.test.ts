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

t.test('a client that wants everything has no more than it leaves, and waits behind itself', async t => {
  const budget = new Budget(8)
  const slots = new Slots(budget, new FakeClock())
  const [greedy, other] = [{ network: '10.0.0.1' }, { network: '10.0.0.2' }]
  const running: { readonly client: string; readonly end: () => void }[] = []
  const begin = async (client: { network: string }): Promise<void> => {
    const end = await slots.take(never, client)
    running.push({ client: client.network, end })
  }
  const all = Array.from({ length: 20 }, () => begin(greedy))
  await settled()
  t.equal(running.length, 4)
  all.push(begin(other))
  await settled()
  t.equal(running.at(-1)?.client, '10.0.0.2', 'a newcomer does not wait')
  all.push(...Array.from({ length: 4 }, () => begin(other)))
  for (let ends = 0; ends < 25; ends++) {
    await settled()
    running.shift()?.end()
    t.ok(budget.inUse <= 8)
  }
  await Promise.all(all)
  t.same([slots.waiting, budget.inUse, budget.refusals], [0, 0, 0])
})
