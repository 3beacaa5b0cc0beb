import t from 'tap'
import { hashPlainUsers } from '../../src/access/plain-users.js'
import { Secret } from '../../src/secret.js'

// Strong hashes are slow by design, the more so on a busy machine.
t.setTimeout(120_000)

t.test('users given with their passwords get hashes that take those passwords', async t => {
  const users = await hashPlainUsers([
    { name: 'ci', password: new Secret('pass:word') },
    { name: 'dev', password: new Secret('x'.repeat(100)) },
  ])
  t.same([...users.keys()], ['ci', 'dev'])
  t.equal(await users.get('ci')?.[0]?.matches('pass:word'), true)
  t.equal(await users.get('dev')?.[0]?.matches('x'.repeat(100)), true)
  t.equal(await users.get('dev')?.[0]?.matches('x'.repeat(72)), false, 'a long one is not cut')
})

t.test('a name given twice has two passwords', async t => {
  const users = await hashPlainUsers([
    { name: 'ci', password: new Secret('old') },
    { name: 'ci', password: new Secret('new') },
  ])
  const hashes = users.get('ci') ?? []
  t.same(await Promise.all(hashes.map(hash => hash.matches('new'))), [false, true])
})

t.test('nobody given is nobody', async t => {
  t.equal((await hashPlainUsers([])).size, 0)
})
