import t from 'tap'
import type { PasswordHash } from '../../src/access/password-hash.js'
import { mergeUsers, userNameProblem, type Users } from '../../src/access/users.js'

t.test('a user name is short and plain', t => {
  for (const name of [
    'ci',
    'CI-1',
    'a.b_c',
    'me@example.com',
    '0',
    'x'.repeat(64),
    '__proto__',
    'constructor',
  ]) {
    t.equal(userNameProblem(name), undefined, name)
  }
  for (const name of [
    '',
    'x'.repeat(65),
    'a b',
    'a:b',
    'a/b',
    '*',
    'cert:x',
    'ü',
    'a\n',
    'a\0',
    '$a',
    'anonymous',
  ]) {
    t.type(userNameProblem(name), 'string', JSON.stringify(name))
  }
  t.end()
})

t.test('a name in several lists has all its passwords', t => {
  const hash = (identity: string): PasswordHash => ({
    algorithm: 'bcrypt',
    kind: 'bcrypt 12',
    identity,
    weakness: undefined,
    matches: () => Promise.resolve(false),
  })
  const [a, b, c] = [hash('1'), hash('2'), hash('3')]
  const first: Users = new Map([['ci', [a]]])
  const second: Users = new Map([
    ['ci', [b]],
    ['dev', [c]],
  ])
  const merged = mergeUsers(first, second)
  t.same([...merged.keys()], ['ci', 'dev'])
  t.same(
    merged.get('ci')?.map(each => each.identity),
    ['1', '2'],
  )
  t.same(
    merged.get('dev')?.map(each => each.identity),
    ['3'],
  )
  t.equal(first.get('ci')?.length, 1, 'and the lists stay as they are')
  t.equal(mergeUsers().size, 0)
  t.end()
})
