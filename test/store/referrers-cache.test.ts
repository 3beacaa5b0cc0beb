import t from 'tap'
import { digestOf } from '../../src/oci/digest.js'
import { parseRepository } from '../../src/oci/reference.js'
import { createReferrersCache, type ReferrersQuestion } from '../../src/store/referrers-cache.js'

const MiB = 1024 * 1024

function repository(name: string): ReferrersQuestion['scope'] {
  const parsed = parseRepository(name)
  if (!parsed) throw new Error(`${name} is no repository`)
  return { registry: 'main', repository: parsed }
}

function setUp() {
  let time = 0
  const cache = createReferrersCache({ ttl: 1000, staleFor: 5000, now: () => time })
  const question = (subject: string, name = 'team/app', query = ''): ReferrersQuestion => ({
    scope: repository(name),
    subject: digestOf(Buffer.from(subject)),
    query,
  })
  const record = (asked: ReferrersQuestion, body = Buffer.from('{}')): void =>
    cache.record(asked, cache.mark(asked.scope), { body, headers: {}, next: undefined })
  return { cache, question, record, pass: (ms: number) => (time += ms) }
}

t.test('a list is fresh, then stale, then too old', async t => {
  const { cache, question, record, pass } = setUp()
  record(question('a'), Buffer.from('list'))
  t.match(cache.lookup(question('a')), { proof: 'fresh', body: Buffer.from('list') })
  pass(1001)
  t.match(cache.lookup(question('a')), { proof: 'stale' })
  pass(5000)
  t.match(cache.lookup(question('a')), { proof: 'none' })
})

t.test('each subject, repository and query has its own', async t => {
  const { cache, question, record } = setUp()
  record(question('a'))
  for (const other of [question('b'), question('a', 'team/other'), question('a', 'team/app', '?n=1')])
    t.equal(cache.lookup(other), undefined)
})

t.test('a push drops the lists of its repository, and an answer that was under way', async t => {
  const { cache, question, record } = setUp()
  record(question('a'))
  record(question('a', 'team/other'))
  const before = cache.mark(question('b').scope)
  cache.drop(question('a').scope)
  cache.record(question('b'), before, { body: Buffer.from('{}'), headers: {}, next: undefined })
  t.equal(cache.lookup(question('a')), undefined)
  t.equal(cache.lookup(question('b')), undefined)
  t.ok(cache.lookup(question('a', 'team/other')))
  record(question('b'))
  t.ok(cache.lookup(question('b')))
  cache.forget(question('b'))
  t.equal(cache.lookup(question('b')), undefined)
})

t.test('what all lists take of the memory is bounded; those used last stay', async t => {
  const { cache, question, record } = setUp()
  for (let count = 0; count < 40; count++) {
    record(question(String(count)), Buffer.alloc(MiB))
    cache.lookup(question('0'))
  }
  const held = Array.from({ length: 40 }, (_, count) => count).filter(count =>
    cache.lookup(question(String(count))),
  )
  t.same(held, [0, ...Array.from({ length: 14 }, (_, index) => 26 + index)])
  record(question('huge'), Buffer.alloc(17 * MiB))
  t.equal(cache.lookup(question('huge')), undefined, 'one that is larger than all may be is not held')
})
