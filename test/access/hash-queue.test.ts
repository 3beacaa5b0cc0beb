import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { createHashQueue } from '../../src/access/hash-queue.js'

/** Work that notes that it has begun and ends when it is let go. */
function works() {
  const begun: string[] = []
  const going: (() => void)[] = []
  return {
    begun,
    work: (name: string) => async (): Promise<string> => {
      begun.push(name)
      await new Promise<void>(resolve => going.push(resolve))
      return name
    },
    /** Lets what is under way end, and each that begins then, until none does. */
    async letGo() {
      for (let go = going.shift(); go; go = going.shift()) {
        go()
        await nextTurn()
      }
    },
  }
}

t.test('clients take turns, and within one it goes in order', async t => {
  const w = works()
  const queue = createHashQueue(10)
  const all = ['a1', 'a2', 'a3', 'b1', 'b2', 'c1'].map(name => queue.take(name.charAt(0), w.work(name)))
  t.equal(queue.waiting, 6)
  await w.letGo()
  t.same(w.begun, ['a1', 'a2', 'b1', 'c1', 'a3', 'b2'])
  t.same(await Promise.all(all), ['a1', 'a2', 'a3', 'b1', 'b2', 'c1'])
  t.equal(queue.waiting, 0)
})

t.test('when it is full, the one that holds most gives way to one that would hold less', async t => {
  const w = works()
  const queue = createHashQueue(4)
  const all = ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'a5', 'c1'].map(name =>
    queue.take(name.charAt(0), w.work(name)),
  )
  t.equal(queue.waiting, 4)
  await w.letGo()
  t.same(await Promise.all(all), ['a1', 'a2', undefined, undefined, 'b1', undefined, undefined, 'c1'])
})

t.test('when each holds one and there is no room, a newcomer is sent away', async t => {
  const w = works()
  const queue = createHashQueue(3)
  const all = ['a', 'b', 'c', 'd'].map(name => queue.take(name, w.work(name)))
  t.equal(await all[3], undefined)
  await w.letGo()
  t.same(await Promise.all(all), ['a', 'b', 'c', undefined])
})

t.test('work that fails is an error to who waits, and the next one has its turn', async t => {
  const queue = createHashQueue(2)
  const failing = queue.take('a', () => Promise.reject(new Error('broken')))
  const next = queue.take('a', () => Promise.resolve('done'))
  await t.rejects(failing, /broken/)
  t.equal(await next, 'done')
  t.equal(queue.waiting, 0)
})

t.test('what is for later has every second turn, the preferred first', async t => {
  const w = works()
  const queue = createHashQueue(3)
  const over: string[] = []
  const later = (name: string, preferred: boolean): void =>
    queue.takeLater(w.work(name), preferred, () => over.push(name))
  const all = ['a', 'b', 'c'].map(name => queue.take(name, w.work(name)))
  later('x', false)
  later('y', false)
  later('z', true)
  t.equal(queue.waiting, 3, 'nobody waits for it')
  await w.letGo()
  t.same(w.begun, ['a', 'b', 'z', 'c', 'x', 'y'])
  t.same(over, ['z', 'x', 'y'])
  t.same(await Promise.all(all), ['a', 'b', 'c'])
})

t.test('of what is for later there is so much at most, and the preferred stays', async t => {
  const w = works()
  const queue = createHashQueue(2)
  const over: string[] = []
  const later = (name: string, preferred: boolean): void =>
    queue.takeLater(w.work(name), preferred, () => over.push(name))
  const first = queue.take('a', w.work('a'))
  later('x1', false)
  later('x2', false)
  later('x3', false)
  t.same(over, ['x3'])
  later('y1', true)
  later('y2', true)
  t.same(over, ['x3', 'x1', 'x2'])
  later('y3', true)
  t.same(over, ['x3', 'x1', 'x2', 'y3'])
  await w.letGo()
  t.same(w.begun, ['a', 'y1', 'y2'])
  t.equal(await first, 'a')
})

t.test('later work that fails is over, and the next one has its turn', async t => {
  const queue = createHashQueue(2)
  const over: string[] = []
  queue.takeLater(
    () => Promise.reject(new Error('broken')),
    true,
    () => over.push('broken'),
  )
  t.equal(await queue.take('a', () => Promise.resolve('done')), 'done')
  t.same(over, ['broken'])
})
