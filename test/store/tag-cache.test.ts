import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { normalAccept } from '../../src/oci/accept.js'
import { digestOf } from '../../src/oci/digest.js'
import { createJournal } from '../../src/store/journal.js'
import type { ManifestFacts } from '../../src/store/membership.js'
import { openTagCache, readTagCache, type TagCache, type TagName } from '../../src/store/tag-cache.js'

const SECOND = 1000
const HOUR = 3_600_000
const OCI = 'application/vnd.oci.image.manifest.v1+json'
const V2S2 = 'application/vnd.docker.distribution.manifest.v2+json'
const scope = { registry: 'r', repository: 'team/app' }
const name = (tag: string): TagName => ({ scope, tag })

const facts = (text: string, mediaType = OCI): ManifestFacts => ({
  digest: digestOf(Buffer.from(text)),
  mediaType,
  size: text.length,
})

async function start(file: string, clock: { now: number }, open = openTagCache): Promise<TagCache> {
  const journal = createJournal({ file, onTrouble: error => t.fail(String(error)) })
  return open({
    ttl: 10 * SECOND,
    staleFor: HOUR,
    isImmutable: tag => tag.startsWith('v'),
    journal,
    now: () => clock.now,
  })
}

t.test('an answer is fresh for a while, then good when nobody can be asked, then nothing', async t => {
  const clock = { now: 1e12 }
  const tags = await start(`${t.testdir()}/journal`, clock)
  t.equal(tags.lookup(name('t'), OCI), undefined)
  tags.record(tags.mark(name('t')), OCI, facts('a'))
  t.match(tags.lookup(name('t'), OCI), { ...facts('a'), proof: 'fresh' })
  t.equal(tags.lookup(name('other'), OCI), undefined)
  t.equal(tags.lookup({ scope: { ...scope, registry: 'r2' }, tag: 't' }, OCI), undefined)
  clock.now += 10 * SECOND
  t.equal(tags.lookup(name('t'), OCI)?.proof, 'stale')
  clock.now += HOUR
  t.equal(tags.lookup(name('t'), OCI)?.proof, 'none')
  clock.now -= 2 * HOUR
  t.equal(tags.lookup(name('t'), OCI)?.proof, 'stale', 'a clock set back makes nothing fresh')
  tags.record(tags.mark(name('v1')), OCI, facts('a'))
  clock.now += 100 * HOUR
  t.equal(tags.lookup(name('v1'), OCI)?.proof, 'fresh', 'one that does not move stays')
  await tags.close()
})

t.test('answers are kept by what was asked, and the newest that is taken stands in', async t => {
  const clock = { now: 1e12 }
  const tags = await start(`${t.testdir()}/journal`, clock)
  tags.record(tags.mark(name('t')), `${V2S2}, ${OCI}`, facts('a'))
  clock.now++
  tags.record(tags.mark(name('t')), V2S2, facts('b', V2S2))
  t.equal(tags.lookup(name('t'), `${OCI},${V2S2}`)?.digest, facts('a').digest)
  t.equal(tags.lookup(name('t'), V2S2)?.digest, facts('b').digest)
  t.equal(tags.lookup(name('t'), OCI), undefined)
  t.equal(tags.lastKnown(name('t'), OCI)?.digest, facts('a').digest)
  t.equal(tags.lastKnown(name('t'), '*/*')?.digest, facts('b').digest)
  t.equal(tags.lastKnown(name('t'), 'x/y'), undefined)
  const long = Array.from({ length: 100 }, (_, index) => `application/x-${index}`).join(', ')
  tags.record(tags.mark(name('t')), long, facts('c'))
  t.equal(tags.lookup(name('t'), long)?.digest, facts('c').digest)
  for (let index = 0; index < 40; index++) tags.record(tags.mark(name('t')), `x/${index}`, facts('d'))
  t.equal(tags.lookup(name('t'), long), undefined, 'and are not kept without bound')
  await tags.close()
})

t.test('what was pushed is the answer for who takes it by name', async t => {
  const clock = { now: 1e12 }
  const tags = await start(`${t.testdir()}/journal`, clock)
  tags.recordPush(tags.mark(name('t')), facts('a'))
  t.equal(tags.lookup(name('t'), `${V2S2}, ${OCI};q=0.5`)?.digest, facts('a').digest)
  t.equal(tags.lookup(name('t'), V2S2), undefined)
  t.equal(tags.lookup(name('t'), '*/*'), undefined)
  clock.now++
  tags.record(tags.mark(name('t')), OCI, facts('b'))
  t.equal(tags.lookup(name('t'), OCI)?.digest, facts('b').digest, 'until the upstream says something newer')
  await tags.close()
})

t.test('a drop takes all answers, and those that were under way', async t => {
  const clock = { now: 1e12 }
  const tags = await start(`${t.testdir()}/journal`, clock)
  for (const all of [false, true]) {
    for (const accept of [OCI, V2S2]) tags.record(tags.mark(name('t')), accept, facts('a'))
    tags.record(tags.mark(name('u')), OCI, facts('u'))
    const before = tags.mark(name('t'))
    await (all ? tags.dropAll(scope) : tags.drop(name('t')))
    tags.record(before, OCI, facts('a'))
    t.equal(tags.lookup(name('t'), OCI), undefined)
    t.equal(tags.lastKnown(name('t'), V2S2), undefined)
    t.equal(tags.lookup(name('u'), OCI) === undefined, all)
    tags.record(tags.mark(name('t')), OCI, facts('b'))
    t.equal(tags.lookup(name('t'), OCI)?.digest, facts('b').digest)
  }
  await tags.close()
})

t.test('however much is dropped, what is known of other tags stays', async t => {
  const clock = { now: 1e12 }
  const tags = await start(`${t.testdir()}/journal`, clock)
  tags.record(tags.mark(name('t')), OCI, facts('a'))
  const since = tags.lastDrop(name('t'))
  for (let count = 0; count < 10; count++) await tags.drop(name(`other ${count}`))
  t.equal(tags.lastDrop(name('t')), since)
  for (let count = 0; count < 20_000; count++) void tags.drop(name(`other ${count}`))
  t.equal(tags.lookup(name('t'), OCI)?.proof, 'fresh')
  t.same(await tags.forget(name('never known'), OCI), [])
  t.same(await tags.forget(name('t'), OCI), [])
  t.equal(tags.lookup(name('t'), OCI), undefined)
  await tags.close()
})

t.test('answers are bounded in all', async t => {
  const clock = { now: 1e12 }
  const tags = await start(`${t.testdir()}/journal`, clock)
  for (let count = 0; count < 101_000; count++) tags.record(tags.mark(name(`t${count}`)), OCI, facts('a'))
  t.equal(tags.lookup(name('t0'), OCI), undefined)
  t.equal(tags.lookup(name('t100999'), OCI)?.proof, 'fresh')
  t.equal([...tags.list()].length, 100_000)
  await tags.close()
})

t.test('answers and drops outlive a process that is killed', async t => {
  const file = `${t.testdir()}/journal`
  const clock = { now: 1e12 }
  const first = await start(file, clock)
  first.record(first.mark(name('t')), OCI, facts('a'))
  first.recordPush(first.mark(name('p')), facts('p'))
  first.record(first.mark(name('gone')), OCI, facts('a'))
  first.record(first.mark(name('v1')), OCI, facts('v'))
  await first.drop(name('gone'))
  // No close: what was dropped is on the disk already.
  clock.now += SECOND
  const second = await start(file, clock)
  t.match(second.lookup(name('t'), OCI), { ...facts('a'), proof: 'fresh' })
  t.equal(second.lookup(name('p'), OCI)?.digest, facts('p').digest)
  t.equal(second.lookup(name('gone'), OCI), undefined)
  t.same([...second.list()].map(({ tag }) => tag).sort(), ['p', 't', 'v1'])
  clock.now += 2 * HOUR
  const third = await start(file, clock)
  t.same(
    [...third.list()].map(({ tag }) => tag),
    ['v1'],
    'what is of no use any more is not kept',
  )
  t.equal((await readFile(file, 'utf8')).trim().split('\n').length, 1)
  await Promise.all([first.close(), second.close(), third.close()])
})

t.test('asking again and again writes little', async t => {
  const file = `${t.testdir()}/journal`
  const clock = { now: 1e12 }
  const tags = await start(file, clock)
  for (let count = 0; count < 360; count++) {
    tags.record(tags.mark(name('t')), OCI, facts('a'))
    clock.now += 10 * SECOND
  }
  await tags.close()
  const lines = (await readFile(file, 'utf8')).trim().split('\n')
  t.ok(lines.length <= 101, `${lines.length} lines for an hour`)
  const again = await start(file, clock, readTagCache)
  t.equal(again.lookup(name('t'), OCI)?.proof, 'stale', 'and what is read back is at most little older')
  t.equal((await readFile(file, 'utf8')).trim().split('\n').length, lines.length, 'looking changes nothing')
})

t.test('no Accept header can spell what was pushed, or the digest of another header', async t => {
  const tags = await start(`${t.testdir()}/journal`, { now: 1e12 })
  const long = Array.from({ length: 40 }, (_, index) => `application/vnd.example.${index}`).join(',')
  const asked = [
    digestOf(Buffer.from(normalAccept(long))),
    '=',
    '["pushed",""]',
    'pushed',
    'accept',
    '',
    long,
  ]
  tags.recordPush(tags.mark(name('t')), facts('pushed', 'x/y'))
  for (const accept of asked) t.equal(tags.lookup(name('t'), accept), undefined, accept.slice(0, 80))
  for (const accept of asked) tags.record(tags.mark(name('t')), accept, facts(accept))
  for (const accept of asked)
    t.equal(tags.lookup(name('t'), accept)?.digest, facts(accept).digest, accept.slice(0, 80))
  t.equal(tags.lookup(name('t'), 'x/y')?.digest, facts('pushed').digest)
  await tags.close()
})

t.test('a no to one question leaves the answers to others, also after a restart', async t => {
  const file = `${t.testdir()}/journal`
  const clock = { now: 1e12 }
  const tags = await start(file, clock)
  for (const accept of [OCI, V2S2]) tags.record(tags.mark(name('t')), accept, facts(accept, accept))
  const before = tags.mark(name('t'))
  t.same(await tags.forget(name('t'), V2S2), [OCI])
  tags.record(before, V2S2, facts(V2S2, V2S2))
  const again = await start(file, clock)
  for (const each of [tags, again]) {
    t.equal(each.lookup(name('t'), V2S2), undefined)
    t.equal(each.lookup(name('t'), OCI)?.digest, facts(OCI).digest)
    t.equal(each.knows(scope), true)
  }
  await Promise.all([tags.close(), again.close()])
})

t.test('answers of versions that kept them under what a client could spell are not believed', async t => {
  const file = join(t.testdir({ journal: '' }), 'journal')
  const { digest, mediaType, size } = facts('a')
  const old = ['tag', 'r', 'team/app', 'v1', OCI, digest, mediaType, size, 1e12]
  await writeFile(file, `${JSON.stringify(old)}\n`)
  const tags = await start(file, { now: 1e12 })
  t.equal(tags.lookup(name('v1'), OCI), undefined)
  await tags.close()
})
