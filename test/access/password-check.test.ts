import { setImmediate as nextTurn } from 'node:timers/promises'
import { inspect } from 'node:util'
import t from 'tap'
import { HELD_SECONDS, Logins } from '../../src/access/logins.js'
import { createPasswordCheck } from '../../src/access/password-check.js'
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
    hash(password: string, kind = 'bcrypt 12'): PasswordHash {
      return {
        algorithm: 'bcrypt',
        kind,
        identity: `${kind} ${password}`,
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
  const passwords = createPasswordCheck(new Map([['ci', [parsed]]]), new Logins())
  t.equal(await passwords.check('ci', 'secret', '192.0.2.1'), 'good')
  t.equal(await passwords.check('ci', 'Secret', '192.0.2.1'), 'bad')
  t.equal(await passwords.check('dev', 'secret', '192.0.2.1'), 'bad')
  t.equal(await passwords.check('ci', '', '192.0.2.1'), 'bad')
})

t.test('each of several passwords of one name is good', async t => {
  const b = bench()
  const users: Users = new Map([['ci', [b.hash('old'), b.hash('new')]]])
  const passwords = createPasswordCheck(users, new Logins())
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
  const passwords = createPasswordCheck(users, new Logins({ rememberFor: 1000, clock: b.clock }))
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
  const passwords = createPasswordCheck(users, new Logins())
  await passwords.check('ci', 'wrong', undefined)
  t.equal(await passwords.check('ci', 'wrong', undefined), 'bad')
  t.equal(b.compared.length, 2)
  t.equal(passwords.remembered, 0)
})

t.test('the same credentials at the same time are hashed once', async t => {
  const b = bench()
  const users: Users = new Map([['ci', [b.hash('secret')]]])
  const passwords = createPasswordCheck(users, new Logins())
  const verdicts = await Promise.all(
    Array.from({ length: 50 }, () => passwords.check('ci', 'secret', undefined)),
  )
  t.same([...new Set(verdicts)], ['good'])
  t.equal(b.compared.length, 1)
  t.equal(passwords.waiting, 0)
})

t.test('one password is hashed at a time, and no more wait than the limit', async t => {
  const b = bench()
  const users: Users = new Map([['ci', [b.hash('secret')]]])
  const passwords = createPasswordCheck(users, new Logins({ queueLimit: 3 }))
  t.equal(await passwords.check('ci', 'secret', 'a'), 'good')
  b.gate()
  const checks = ['one', 'two', 'three', 'four', 'four'].map(word => passwords.check('ci', word, 'a'))
  await nextTurn()
  t.same(b.compared.slice(1), ['secret?one'], 'only the first has begun')
  t.equal(passwords.waiting, 3)
  t.equal(passwords.limit, 3)
  t.same(await Promise.all(checks.slice(3)), ['again', 'again'])
  t.equal(await passwords.check('ci', 'secret', 'a'), 'good', 'what is remembered waits for nobody')
  const joined = passwords.check('ci', 'two', 'a')
  await b.letGo()
  t.same(await Promise.all([...checks.slice(0, 3), joined]), ['bad', 'bad', 'bad', 'bad'])
  t.equal(passwords.waiting, 0)
  t.equal(await passwords.check('ci', 'five', 'a'), 'bad', 'then there is room again')
  t.equal(passwords.refused, 7)
})

t.test('who comes from another address has a place before the rest of those who flood', async t => {
  const b = bench()
  const users: Users = new Map([['ci', [b.hash('secret')]]])
  const passwords = createPasswordCheck(users, new Logins({ queueLimit: 4 }))
  b.gate()
  const flood = ['one', 'two', 'three', 'four'].map(name => passwords.check(name, 'x', 'a'))
  const newcomer = passwords.check('ci', 'secret', 'b')
  t.equal(await flood[3], 'again', 'the last of them lost its place')
  await b.letGo()
  t.equal(await newcomer, 'good')
  t.same(await Promise.all(flood), ['bad', 'bad', 'bad', 'again'])
  t.same(
    b.compared.indexOf('secret?secret'),
    3,
    'after the one that was under way, one more, and one that was put off',
  )
})

t.test(
  'from an address with fifty refusals nobody new waits, and what is right is good the next time',
  async t => {
    const b = bench()
    const users: Users = new Map([['ci', [b.hash('secret'), b.hash('known')]]])
    const passwords = createPasswordCheck(users, new Logins({ clock: b.clock }))
    t.equal(await passwords.check('ci', 'known', 'a'), 'good')
    for (let count = 0; count < 50; count++) t.equal(await passwords.check(`user${count}`, 'x', 'a'), 'bad')
    b.gate()
    for (let count = 0; count < 500; count++)
      t.equal(await passwords.check(`more${count}`, 'x', 'a'), 'again')
    t.equal(await passwords.check('ci', 'secret', 'a'), 'again', 'though it is right')
    t.equal(await passwords.check('ci', 'wrong', 'a'), 'again', 'which cannot be told from wrong')
    t.equal(await passwords.check('ci', 'known', 'a'), 'good', 'whom it knows it lets pass')
    const elsewhere = passwords.check('ci', 'x', 'b')
    await b.letGo()
    t.equal(await elsewhere, 'bad', 'at other addresses they wait as ever')
    t.equal(await passwords.check('ci', 'secret', 'a'), 'good', 'it was looked at meanwhile')
    b.pass(HELD_SECONDS * 1000 + 1)
    t.equal(await passwords.check('more1', 'x', 'a'), 'bad')
  },
)

t.test(
  'what is looked at behind the back counts for the name, once for each guess, whether it exists or not',
  async t => {
    const b = bench()
    const users: Users = new Map([['ci', [b.hash('secret')]]])
    for (const name of ['ci', 'nobody']) {
      const passwords = createPasswordCheck(users, new Logins({ clock: b.clock, queueLimit: 2 }))
      for (let count = 0; count < 50; count++) await passwords.check(`user${count}`, 'x', 'a')
      b.gate()
      const verdicts: string[] = []
      for (let count = 0; count < 30; count++) verdicts.push(await passwords.check(name, 'same', 'a'))
      t.same([...new Set(verdicts)], ['again'], name)
      for (let count = 0; count < 9; count++)
        t.equal(await passwords.check(name, `guess ${count}`, 'a'), 'again', name)
      t.equal(await passwords.check(name, 'guess', 'a'), 'held', name)
      await b.letGo()
    }
  },
)

t.test('the addresses of one IPv6 network are one', async t => {
  const b = bench()
  const passwords = createPasswordCheck(new Map([['ci', [b.hash('secret')]]]), new Logins())
  for (let count = 0; count < 10; count++) await passwords.check('ci', `${count}`, `2001:db8:1:2::${count}`)
  t.equal(await passwords.check('ci', 'x', '2001:db8:1:2:ffff::1'), 'held')
  t.equal(await passwords.check('ci', 'x', '2001:db8:1:3::1'), 'bad')
})

t.test('a comparison that breaks is an error, and the next one has its turn', async t => {
  let breaks = true
  const hash: PasswordHash = {
    algorithm: 'argon2id',
    kind: 'argon2id 8 1 1',
    identity: 'one',
    weakness: undefined,
    matches: () => (breaks ? Promise.reject(new Error('out of memory')) : Promise.resolve(true)),
  }
  const users: Users = new Map([['ci', [hash]]])
  const passwords = createPasswordCheck(users, new Logins({ queueLimit: 1 }))
  await t.rejects(passwords.check('ci', 'secret', undefined), /out of memory/)
  t.equal(passwords.waiting, 0)
  breaks = false
  t.equal(await passwords.check('ci', 'secret', undefined), 'good')
})

t.test('a wrong password costs the same whoever is named', async t => {
  const b = bench()
  const users: Users = new Map([
    ['one', [b.hash('a', 'bcrypt 10')]],
    ['two', [b.hash('b', 'bcrypt 10'), b.hash('c', 'bcrypt 12')]],
    ['three', [b.hash('d', 'bcrypt 10'), b.hash('e', 'bcrypt 10')]],
    ['four', [b.hash('f', 'argon2id')]],
    ['five', []],
  ])
  const kindOf = new Map(
    [...users.values()].flat().map(({ identity, kind }) => [identity.at(-1) ?? '', kind]),
  )
  const passwords = createPasswordCheck(users, new Logins())
  for (const user of [...users.keys(), 'unknown', '']) {
    b.compared.length = 0
    t.equal(await passwords.check(user, 'x', undefined), 'bad')
    t.same(
      b.compared.map(each => kindOf.get(each.charAt(0))).sort(),
      ['argon2id', 'bcrypt 10', 'bcrypt 10', 'bcrypt 12'],
      user,
    )
  }
})

t.test("another one's password lets nobody in", async t => {
  const b = bench()
  const users: Users = new Map([
    ['one', [b.hash('a')]],
    ['two', [b.hash('b', 'scrypt 15 8 1'), b.hash('c')]],
  ])
  const passwords = createPasswordCheck(users, new Logins())
  t.equal(await passwords.check('one', 'b', undefined), 'bad')
  t.equal(await passwords.check('unknown', 'b', undefined), 'bad')
})

t.test('nobody gets in where there are no users', async t => {
  const nobody: Users = new Map()
  const passwords = createPasswordCheck(nobody, new Logins())
  t.equal(await passwords.check('ci', 'secret', undefined), 'bad')
  t.equal(passwords.knows('ci'), false)
})

t.test('after ten refusals a name is held from that address, until a minute has passed', async t => {
  const b = bench()
  const users: Users = new Map([
    ['ci', [b.hash('secret'), b.hash('second')]],
    ['dev', [b.hash('dev')]],
  ])
  const passwords = createPasswordCheck(users, new Logins({ clock: b.clock }))
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
  const passwords = createPasswordCheck(users, new Logins())
  const verdicts: string[] = []
  for (let count = 1; count <= 11; count++) verdicts.push(await passwords.check('nobody', `${count}`, 'a'))
  t.same(verdicts.slice(9), ['bad', 'held'])
})

t.test('guesses at the same time are no way around being held', async t => {
  const b = bench()
  const users: Users = new Map([['ci', [b.hash('secret')]]])
  const passwords = createPasswordCheck(users, new Logins())
  const checks = Array.from({ length: 15 }, (_, index) => passwords.check('ci', `guess ${index}`, 'a'))
  const verdicts = await Promise.all(checks)
  t.equal(verdicts.filter(verdict => verdict === 'bad').length, 10)
  t.equal(verdicts.filter(verdict => verdict === 'held').length, 5)
})

t.test(
  'a password that was taken from the users is bad at once, and the others are still remembered',
  async t => {
    const b = bench()
    const logins = new Logins()
    const before = createPasswordCheck(new Map([['ci', [b.hash('old'), b.hash('kept')]]]), logins)
    t.equal(await before.check('ci', 'old', 'a'), 'good')
    t.equal(await before.check('ci', 'kept', 'a'), 'good')
    b.compared.length = 0
    const after = createPasswordCheck(new Map([['ci', [b.hash('kept'), b.hash('new')]]]), logins)
    t.equal(await after.check('ci', 'kept', 'a'), 'good')
    t.same(b.compared, [], 'without hashing: a reload sends nobody into the queue')
    t.equal(await after.check('ci', 'old', 'a'), 'bad')
    t.equal(await after.check('ci', 'new', 'a'), 'good')
  },
)

t.test(
  "one user's remembered password is not another's who has it by a hash of the same identity",
  async t => {
    const b = bench()
    const logins = new Logins()
    const hash = b.hash('secret')
    t.equal(await createPasswordCheck(new Map([['ci', [hash]]]), logins).check('ci', 'secret', 'a'), 'good')
    const after = createPasswordCheck(new Map([['dev', [hash]]]), logins)
    t.equal(await after.check('ci', 'secret', 'a'), 'bad', 'a user that was taken out')
    t.equal(await after.check('dev', 'secret', 'a'), 'good')
  },
)

t.test('a comparison that began before the users changed does not make its password good after', async t => {
  const b = bench()
  const logins = new Logins()
  const old = createPasswordCheck(new Map([['ci', [b.hash('old')]]]), logins)
  b.gate()
  const before = old.check('ci', 'old', 'a')
  await nextTurn()
  const fresh = createPasswordCheck(new Map([['ci', [b.hash('new')]]]), logins)
  const after = fresh.check('ci', 'old', 'a')
  await b.letGo()
  t.equal(await before, 'good', 'it goes by the users it began with')
  t.equal(await after, 'bad', 'and is not joined by a later one')
  t.equal(await fresh.check('ci', 'old', 'a'), 'bad')
})

t.test('a name that has changed its password is held no longer', async t => {
  const b = bench()
  const logins = new Logins()
  const old = createPasswordCheck(new Map([['ci', [b.hash('old')]]]), logins)
  for (let count = 0; count < 10; count++) await old.check('ci', 'new', 'a')
  t.equal(await old.check('ci', 'new', 'a'), 'held')
  const fresh = createPasswordCheck(new Map([['ci', [b.hash('new')]]]), logins)
  t.equal(await fresh.check('ci', 'new', 'a'), 'good')
})

t.test('it knows who there is', t => {
  const passwords = createPasswordCheck(new Map([['ci', []]]), new Logins())
  t.equal(passwords.knows('ci'), true)
  t.equal(passwords.knows('dev'), false)
  t.equal(passwords.knows('__proto__'), false)
  t.end()
})

t.test('no dump of it shows a password', async t => {
  const parsed = parsePasswordHash(await hashPassword('hunter2'))
  if ('refused' in parsed) throw new Error(parsed.refused)
  const users: Users = new Map([['ci', [parsed]]])
  const passwords = createPasswordCheck(users, new Logins())
  const running = passwords.check('ci', 'hunter2', undefined)
  t.notMatch(inspect(passwords, { depth: 9, showHidden: true }), /hunter2/)
  t.equal(await running, 'good')
  t.notMatch(inspect(passwords, { depth: 9, showHidden: true }), /hunter2/)
})
