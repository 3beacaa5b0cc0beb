import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { FairTurns } from '../../src/registry/fair-turns.js'

const never = (): AbortSignal => new AbortController().signal

/** Who began, in order. */
function line(turns: FairTurns) {
  const begun: string[] = []
  const ask = async (name: string, gone = never): Promise<void> => {
    await turns.take(name.slice(0, 1), gone)
    begun.push(name)
  }
  return { begun, ask }
}

t.test('a request begins at once while there is nothing else to do', async t => {
  const turns = new FairTurns(2)
  t.equal(turns.take('a', never), undefined)
  await nextTurn()
  t.equal(turns.take('a', never), undefined)
  t.equal(turns.waiting, 0)
})

t.test('a request of another client begins in the next turn, however many of one client wait', async t => {
  const turns = new FairTurns(2)
  const { begun, ask } = line(turns)
  const all = Array.from({ length: 100 }, (_, index) => ask(`a${index}`))
  const other = ask('b')
  t.equal(turns.waiting, 99, 'two of them have begun')
  await other
  t.ok(begun.indexOf('b') < 6, begun.join(' '))
  await Promise.all(all)
  t.same(
    begun.filter(name => name !== 'b'),
    Array.from({ length: 100 }, (_, index) => `a${index}`),
    'the requests of one client begin in the order in which they came',
  )
  t.equal(turns.waiting, 0)
})

t.test('no more begin in one turn of the event loop than may', async t => {
  const turns = new FairTurns(3)
  const { begun, ask } = line(turns)
  const all = Array.from({ length: 20 }, (_, index) => ask(`${index % 2 === 0 ? 'a' : 'b'}${index}`))
  const began: number[] = []
  while (begun.length < 20) {
    const before = begun.length
    await nextTurn()
    began.push(begun.length - before)
  }
  await Promise.all(all)
  // The first turn is the one in which they were asked for and the one after it.
  t.same(began, [6, 3, 3, 3, 3, 2])
})

t.test('a client that leaves while it waits takes nobody’s turn', async t => {
  const turns = new FairTurns(1)
  const { begun, ask } = line(turns)
  const leaving = new AbortController()
  const all = [ask('a1'), ask('b1', () => leaving.signal), ask('c1')]
  leaving.abort(new Error('gone'))
  await t.rejects(Promise.resolve(all[1]), { message: 'gone' })
  t.equal(turns.waiting, 1)
  await all[2]
  t.same(begun, ['a1', 'c1'])
  const late = async (): Promise<void> => {
    await turns.take('d', never)
    await turns.take('d', () => leaving.signal)
  }
  await t.rejects(late(), { message: 'gone' })
})
