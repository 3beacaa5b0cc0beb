import { appendFile, readFile } from 'node:fs/promises'
import t from 'tap'
import { digestOf, type Digest } from '../../src/oci/digest.js'
import { createJournal } from '../../src/store/journal.js'
import { openMembership, type Membership } from '../../src/store/membership.js'

const digest = (text: string): Digest => digestOf(Buffer.from(text))
const scope = { registry: 'r', repository: 'team/app' }
const other = { registry: 'r', repository: 'team/other' }
const MINUTE = 60_000

async function start(file: string, clock: { now: number }): Promise<Membership> {
  const journal = createJournal({ file, onTrouble: error => t.fail(String(error)) })
  return openMembership({ ttl: 10 * MINUTE, staleFor: 60 * MINUTE, journal, now: () => clock.now })
}

t.test('a proof is of one repository and one digest, fresh for a while and then stale', async t => {
  const clock = { now: 1_000_000_000 }
  const membership = await start(`${t.testdir()}/journal`, clock)
  t.equal(membership.proof(scope, digest('a')), 'none')
  membership.record(membership.mark(scope), [digest('a')])
  t.equal(membership.proof(scope, digest('a')), 'fresh')
  t.equal(membership.proof(scope, digest('b')), 'none')
  t.equal(membership.proof(other, digest('a')), 'none')
  t.equal(membership.proof({ registry: 'r2', repository: 'team/app' }, digest('a')), 'none')
  clock.now += 10 * MINUTE
  t.equal(membership.proof(scope, digest('a')), 'stale')
  clock.now += 60 * MINUTE
  t.equal(membership.proof(scope, digest('a')), 'none')
  membership.record(membership.mark(scope), [digest('a')])
  clock.now -= 1
  t.equal(membership.proof(scope, digest('a')), 'stale', 'a clock set back makes nothing fresh')
  await membership.close()
})

t.test('what was learnt before a deletion does not outlive it', async t => {
  const clock = { now: 1_000_000_000 }
  const membership = await start(`${t.testdir()}/journal`, clock)
  membership.record(membership.mark(scope), [digest('a'), digest('b')])
  membership.record(membership.mark(other), [digest('a')])
  const before = membership.mark(scope)
  await membership.revoke(scope)
  t.equal(membership.proof(scope, digest('a')), 'none')
  t.equal(membership.proof(scope, digest('b')), 'none')
  t.equal(membership.proof(other, digest('a')), 'fresh', 'another repository keeps its own')
  membership.record(before, [digest('a')])
  t.equal(membership.proof(scope, digest('a')), 'none', 'an answer from before the deletion proves nothing')
  membership.record(membership.mark(scope), [digest('a')])
  t.equal(membership.proof(scope, digest('a')), 'fresh')
  await membership.forget(scope, [digest('a')])
  t.equal(membership.proof(scope, digest('a')), 'none')
  await membership.close()
})

t.test('proofs and deletions outlive the process, even one that is killed', async t => {
  const file = `${t.testdir()}/journal`
  const clock = { now: 1_000_000_000 }
  const first = await start(file, clock)
  first.record(first.mark(scope), [digest('a'), digest('b')])
  first.record(first.mark(other), [digest('a')])
  await first.revoke(other)
  // No close: what was revoked must be on the disk already.
  await appendFile(file, '["record","r","team/app","sha256:12')
  clock.now += MINUTE
  const second = await start(file, clock)
  t.equal(second.proof(scope, digest('a')), 'fresh')
  t.equal(second.proof(scope, digest('b')), 'fresh')
  t.equal(second.proof(other, digest('a')), 'none')
  t.equal((await readFile(file, 'utf8')).trim().split('\n').length, 2, 'and only what is of use is kept')
  clock.now += 80 * MINUTE
  const third = await start(file, clock)
  t.equal(third.proof(scope, digest('a')), 'none')
  await Promise.all([first.close(), second.close(), third.close()])
})

t.test('a file that cannot be used is told of, and proofs go on in memory', async t => {
  const troubles: unknown[] = []
  const journal = createJournal({ file: '/dev/null/journal', onTrouble: error => troubles.push(error) })
  const membership = await openMembership({ ttl: 1000, staleFor: 1000, journal })
  membership.record(membership.mark(scope), [digest('a')])
  t.equal(membership.proof(scope, digest('a')), 'fresh')
  await membership.revoke(scope)
  t.equal(membership.proof(scope, digest('a')), 'none')
  await membership.close()
  t.equal(troubles.length, 1)
})

t.test('manifests can be gone through while others become known and are forgotten', async t => {
  const file = `${t.testdir()}/journal`
  const clock = { now: 1_000_000_000 }
  const membership = await start(file, clock)
  const know = (text: string): void =>
    membership.recordManifest(membership.mark(scope), { digest: digest(text), mediaType: 'a/b', size: 1 })
  for (const text of ['a', 'b', 'c']) know(text)
  membership.record(membership.mark(scope), [digest('blob')])
  const seen: Digest[] = []
  for (const manifest of membership.manifests()) {
    seen.push(manifest.digest)
    if (seen.length > 1) continue
    know('a')
    await membership.forget(scope, [digest('b')])
    know('d')
  }
  t.same(seen, ['a', 'c', 'd'].map(digest))
  await membership.close()
  const again = await start(file, clock)
  t.same(new Set([...again.manifests()].map(manifest => manifest.digest)), new Set(seen))
  await again.close()
})
