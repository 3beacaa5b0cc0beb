import t from 'tap'
import { Budget } from '../src/budget.js'
import { Shares, type Client } from '../src/shares.js'

const at = (network: string, user?: string): Client => ({ network, user })

/** Takes one after the other for as long as it may; gives how many that were. */
function takeAll(shares: Shares, client: Client): number {
  let taken = 0
  while (shares.take(client)) taken++
  return taken
}

t.test('one client may have half, and a newcomer always as much as is left to it', t => {
  const shares = new Shares(new Budget(120), 1)
  t.equal(takeAll(shares, at('a', 'one')), 60)
  t.equal(takeAll(shares, at('b', 'two')), 30)
  t.equal(takeAll(shares, at('c', 'three')), 15)
  t.same([shares.inUse, shares.refusals, shares.limit], [105, 3, 120])
  shares.giveBack(at('a', 'one'), 60)
  t.equal(takeAll(shares, at('d', 'four')), 37)
  t.end()
})

t.test('a user at many addresses has more than at one, and not everything', t => {
  const shares = new Shares(new Budget(120), 1)
  const taken = Array.from({ length: 20 }, (_, host) => takeAll(shares, at(`10.0.0.${host}`, 'fleet')))
  t.equal(taken[0], 60)
  t.equal(shares.inUse, 80, 'two thirds')
  t.equal(takeAll(shares, at('10.0.0.0', 'other')), 20, 'another user, at the same address')
  t.end()
})

t.test('strangers leave a quarter to those who have logged in', t => {
  const shares = new Shares(new Budget(120), 1)
  const taken = Array.from({ length: 200 }, (_, host) => takeAll(shares, at(`10.0.0.${host}`)))
  t.equal(taken[0], 60)
  t.equal(shares.inUse, 90)
  t.notOk(shares.take(at('elsewhere')))
  t.ok(shares.take(at('10.0.0.1', 'somebody')), 'also at the address of a stranger with much')
  t.end()
})

t.test('with little to share, everybody may have the least there is to have', t => {
  const shares = new Shares(new Budget(4), 2)
  t.equal(takeAll(shares, at('a')), 2)
  t.equal(takeAll(shares, at('b', 'one')), 2)
  const single = new Shares(new Budget(1), 2)
  t.equal(takeAll(single, at('a')), 1)
  t.ok(single.allows(at('a'), 0))
  t.notOk(single.allows(at('b')))
  t.end()
})

t.test('what was given back is nobody any more', t => {
  const shares = new Shares(new Budget(10), 1)
  const [user, stranger] = [at('a', 'one'), at('a')]
  t.ok(shares.take(user, 3))
  t.ok(shares.take(stranger, 2))
  t.same([shares.heldBy(user), shares.heldBy(stranger)], [3, 2])
  shares.giveBack(user, 1)
  t.equal(shares.heldBy(user), 2)
  shares.giveBack(user, 2)
  shares.giveBack(stranger, 2)
  t.same([shares.heldBy(user), shares.heldBy(stranger), shares.inUse], [0, 0, 0])
  t.end()
})
