import { setImmediate as nextTurn } from 'node:timers/promises'
import { inspect } from 'node:util'
import t from 'tap'
import { createPasswordCheck, HELD_SECONDS } from '../../src/access/password-check.js'
import type { PasswordHash } from '../../src/access/password-hash.js'
import { hashPassword, parsePasswordHash } from '../../src/access/password-hash.js'
import type { Users } from '../../src/access/users.js'

/** Hashes that count their use, and wait until they are let go where `gate` says so. */
function bench() {
  const compared: string[] = []
  const waiting: (() => void)[] = []
  let gated = false
  let now = 1_000
  return {
    compared,
    clock: () => now,
    pass: (milliseconds: number) => (now += milliseconds),
    gate: () => (gated = true),
    waiting,
    hash(password: string, effort = 1): PasswordHash {
      return {
        algorithm: 'bcrypt',
        effort,
        weakness: undefined,
        async matches(given) {
          compared.push(`${password}?${given}`)
          if (gated) await new Promise<void>(resolve => waiting.push(resolve))
          return given === password
        },
      }
    },
    /** Lets every comparison go, also those that come to their turn only then. */
    async letGo() {
      gated = false
      for (const go of waiting.splice(0)) go()
      await nextTurn()
    },
  }
}

t.test('a right password is good, a wrong one and an unknown user are bad', async t => {
  const parsed = parsePasswordHash(await hashPassword('secret'))
  if ('refused' in parsed) throw new Error(parsed.refused)
  const passwords = createPasswordCheck({ users: () => new Map([['ci', [parsed]]]) })
  t.equal(await passwords.check('ci', 'secret', '192.0.2.1'), 'good')
  t.equal(await passwords.check('ci', 'Secret', '192.0.2.1'), 'bad')
  t.equal(await passwords.check('dev', 'secret', '192.0.2.1'), 'bad')
  t.equal(await passwords.check('ci', '', '192.0.2.1'), 'bad')
})

t.test('each of several passwords of one name is good', async t => {
  const b = bench()
  const users: Users = new Map([['ci', [b.hash('old'), b.hash('new')]]])
  const passwords = createPasswordCheck({ users: () => users })
  t.equal(await passwords.check('ci', 'old', undefined), 'good')
  t.equal(await passwords.check('ci', 'new', undefined), 'good')
  t.equal(await passwords.check('ci', 'other', undefined), 'bad')
})

t.test('good credentials are remembered as long as they are used, and a user has to be the same', async t => {
  const b = bench()
  const users: Users = new Map([
    ['ci', [b.hash('secret')]],
    ['cis', [b.hash('ecret')]],
  ])
  const passwords = createPasswordCheck({ users: () => users, rememberFor: 1000, clock: b.clock })
  for (let count = 0; count < 5; count++) {
    t.equal(await passwords.check('ci', 'secret', undefined), 'good')
    b.pass(900)
  }
  t.equal(b.compared.length, 1, 'hashed once')
  t.equal(passwords.remembered, 1)
  t.equal(await passwords.check('cis', 'ecret', undefined), 'good')
  t.equal(b.compared.length, 2, 'where one ends and the other begins counts')
  b.pass(1100)
  t.equal(await passwords.check('ci', 'secret', undefined), 'good')
  t.equal(b.compared.length, 3, 'hashed again when it was long not used')
})

t.test('a bad password is never remembered as good', async t => {
  const b = bench()
  const users: Users = new Map([['ci', [b.hash('secret')]]])
  const passwords = createPasswordCheck({ users: () => users })
  await passwords.check('ci', 'wrong', undefined)
  t.equal(await passwords.check('ci', 'wrong', undefined), 'bad')
  t.equal(b.compared.length, 2)
  t.equal(passwords.remembered, 0)
})

t.test('the same credentials at the same time are hashed once', async t => {
  const b = bench()
  const users: Users = new Map([['ci', [b.hash('secret')]]])
  const passwords = createPasswordCheck({ users: () => users })
  const verdicts = await Promise.all(
    Array.from({ length: 50 }, () => passwords.check('ci', 'secret', undefined)),
  )
  t.same([...new Set(verdicts)], ['good'])
  t.equal(b.compared.length, 1)
  t.equal(passwords.queued, 0)
})

t.test('one password is hashed at a time, and no more wait than the limit', async t => {
  const b = bench()
  const users: Users = new Map([['ci', [b.hash('secret')]]])
  const passwords = createPasswordCheck({ users: () => users, queueLimit: 3 })
  t.equal(await passwords.check('ci', 'secret', 'a'), 'good')
  b.gate()
  const checks = ['one', 'two', 'three', 'four', 'four'].map(word => passwords.check('ci', word, 'a'))
  await nextTurn()
  t.same(b.compared.slice(1), ['secret?one'], 'only the first has begun')
  t.equal(passwords.queued, 3)
  t.same(await Promise.all(checks.slice(3)), ['busy', 'busy'])
  t.equal(await passwords.check('nobody', 'x', 'b'), 'busy')
  t.equal(await passwords.check('ci', 'secret', 'a'), 'good', 'what is remembered waits for nobody')
  const joined = passwords.check('ci', 'three', 'a')
  await b.letGo()
  t.same(await Promise.all([...checks.slice(0, 3), joined]), ['bad', 'bad', 'bad', 'bad'])
  t.same(
    b.compared.slice(1),
    ['secret?one', 'secret?two', 'secret?three'],
    'and one that waits can be joined',
  )
  t.equal(passwords.queued, 0)
  t.equal(await passwords.check('ci', 'four', 'a'), 'bad', 'then there is room again')
})

t.test('a comparison that breaks is an error, and the next one has its turn', async t => {
  let breaks = true
  const hash: PasswordHash = {
    algorithm: 'argon2id',
    effort: 1,
    weakness: undefined,
    matches: () => (breaks ? Promise.reject(new Error('out of memory')) : Promise.resolve(true)),
  }
  const users: Users = new Map([['ci', [hash]]])
  const passwords = createPasswordCheck({ users: () => users, queueLimit: 1 })
  await t.rejects(passwords.check('ci', 'secret', undefined), /out of memory/)
  t.equal(passwords.queued, 0)
  breaks = false
  t.equal(await passwords.check('ci', 'secret', undefined), 'good')
})

t.test('a wrong password costs as many comparisons whoever is named', async t => {
  const b = bench()
  const users: Users = new Map([
    ['one', [b.hash('a', 5)]],
    ['two', [b.hash('b', 1), b.hash('c', 9)]],
  ])
  const passwords = createPasswordCheck({ users: () => users })
  const spent = async (user: string): Promise<string[]> => {
    b.compared.length = 0
    t.equal(await passwords.check(user, 'x', undefined), 'bad')
    return [...b.compared]
  }
  t.same(await spent('two'), ['b?x', 'c?x'])
  t.same(await spent('one'), ['a?x', 'c?x'])
  t.same(await spent('unknown'), ['c?x', 'c?x'], 'the costliest there is')
})

t.test("another one's password lets nobody in", async t => {
  const b = bench()
  const users: Users = new Map([
    ['one', [b.hash('a')]],
    ['two', [b.hash('b', 9), b.hash('c')]],
  ])
  const passwords = createPasswordCheck({ users: () => users })
  t.equal(await passwords.check('one', 'b', undefined), 'bad')
  t.equal(await passwords.check('unknown', 'b', undefined), 'bad')
})

t.test('nobody gets in where there are no users', async t => {
  const nobody: Users = new Map()
  const passwords = createPasswordCheck({ users: () => nobody })
  t.equal(await passwords.check('ci', 'secret', undefined), 'bad')
  t.equal(passwords.knows('ci'), false)
})

t.test('after ten refusals a name is held from that address, until a minute has passed', async t => {
  const b = bench()
  const users: Users = new Map([
    ['ci', [b.hash('secret'), b.hash('second')]],
    ['dev', [b.hash('dev')]],
  ])
  const passwords = createPasswordCheck({ users: () => users, clock: b.clock })
  t.equal(await passwords.check('ci', 'secret', 'a'), 'good')
  for (let count = 1; count <= 10; count++) {
    t.equal(await passwords.check('ci', `guess ${count}`, 'a'), 'bad', `guess ${count}`)
    b.pass(1000)
  }
  const before = b.compared.length
  t.equal(await passwords.check('ci', 'guess 11', 'a'), 'held')
  t.equal(await passwords.check('ci', 'second', 'a'), 'held', 'a right one that is not remembered, too')
  t.equal(b.compared.length, before, 'without hashing')
  t.equal(await passwords.check('ci', 'secret', 'a'), 'good', 'a remembered one is never held back')
  t.equal(await passwords.check('ci', 'guess', 'b'), 'bad', 'not from another address')
  t.equal(await passwords.check('dev', 'guess', 'a'), 'bad', 'nor another name')
  b.pass(HELD_SECONDS * 1000 - 9_999)
  t.equal(await passwords.check('ci', 'second', 'a'), 'good')
})

t.test('an unknown name is held like a known one', async t => {
  const b = bench()
  const users: Users = new Map([['ci', [b.hash('secret')]]])
  const passwords = createPasswordCheck({ users: () => users })
  const verdicts: string[] = []
  for (let count = 1; count <= 11; count++) verdicts.push(await passwords.check('nobody', `${count}`, 'a'))
  t.same(verdicts.slice(9), ['bad', 'held'])
})

t.test('guesses at the same time are no way around being held', async t => {
  const b = bench()
  const users: Users = new Map([['ci', [b.hash('secret')]]])
  const passwords = createPasswordCheck({ users: () => users })
  const checks = Array.from({ length: 15 }, (_, index) => passwords.check('ci', `guess ${index}`, 'a'))
  const verdicts = await Promise.all(checks)
  t.equal(verdicts.filter(verdict => verdict === 'bad').length, 10)
  t.equal(verdicts.filter(verdict => verdict === 'held').length, 5)
})

t.test('a password that was taken from the users is bad at once', async t => {
  const b = bench()
  let users: Users = new Map([['ci', [b.hash('old')]]])
  const passwords = createPasswordCheck({ users: () => users })
  t.equal(await passwords.check('ci', 'old', 'a'), 'good')
  users = new Map([['ci', [b.hash('new')]]])
  t.equal(await passwords.check('ci', 'old', 'a'), 'bad')
  t.equal(await passwords.check('ci', 'new', 'a'), 'good')
  t.equal(passwords.remembered, 1)
})

t.test('a comparison that began before the users changed does not make its password good after', async t => {
  const b = bench()
  let users: Users = new Map([['ci', [b.hash('old')]]])
  const passwords = createPasswordCheck({ users: () => users })
  b.gate()
  const before = passwords.check('ci', 'old', 'a')
  await nextTurn()
  users = new Map([['ci', [b.hash('new')]]])
  const after = passwords.check('ci', 'old', 'a')
  await b.letGo()
  t.equal(await before, 'good', 'it goes by the users it began with')
  t.equal(await after, 'bad', 'and is not joined by a later one')
  t.equal(await passwords.check('ci', 'old', 'a'), 'bad')
})

t.test('a name that has changed its password is held no longer', async t => {
  const b = bench()
  let users: Users = new Map([['ci', [b.hash('old')]]])
  const passwords = createPasswordCheck({ users: () => users })
  for (let count = 0; count < 10; count++) await passwords.check('ci', 'new', 'a')
  t.equal(await passwords.check('ci', 'new', 'a'), 'held')
  users = new Map([['ci', [b.hash('new')]]])
  t.equal(await passwords.check('ci', 'new', 'a'), 'good')
})

t.test('it can be told to forget', async t => {
  const b = bench()
  const users: Users = new Map([['ci', [b.hash('secret')]]])
  const passwords = createPasswordCheck({ users: () => users })
  await passwords.check('ci', 'secret', undefined)
  passwords.forget()
  t.equal(passwords.remembered, 0)
  t.equal(await passwords.check('ci', 'secret', undefined), 'good')
  t.equal(b.compared.length, 2)
})

t.test('it knows who there is, by the users of the moment', t => {
  let users: Users = new Map([['ci', []]])
  const passwords = createPasswordCheck({ users: () => users })
  t.equal(passwords.knows('ci'), true)
  t.equal(passwords.knows('dev'), false)
  t.equal(passwords.knows('__proto__'), false)
  users = new Map([['dev', []]])
  t.equal(passwords.knows('ci'), false)
  t.equal(passwords.knows('dev'), true)
  t.end()
})

t.test('no dump of it shows a password', async t => {
  const parsed = parsePasswordHash(await hashPassword('hunter2'))
  if ('refused' in parsed) throw new Error(parsed.refused)
  const users: Users = new Map([['ci', [parsed]]])
  const passwords = createPasswordCheck({ users: () => users })
  const running = passwords.check('ci', 'hunter2', undefined)
  t.notMatch(inspect(passwords, { depth: 9, showHidden: true }), /hunter2/)
  t.equal(await running, 'good')
  t.notMatch(inspect(passwords, { depth: 9, showHidden: true }), /hunter2/)
})
