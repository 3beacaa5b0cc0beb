import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { parseDigest } from '../src/oci/digest.js'
import { layoutOf } from '../src/store/layout.js'
import { startMirror, type MirrorUnderTest } from './support/mirror.js'

interface Scrubbed extends MirrorUnderTest {
  readonly directory: string
  /** What `/readyz` says of the cache. */
  readonly told: () => Promise<string>
  /** Pulls a blob; gives how it met the cache, and its bytes. */
  readonly pull: (digest: string) => Promise<{ cache: string | null; bytes: Buffer }>
}

async function start(t: Test, scrub: object): Promise<Scrubbed> {
  const directory = mkdtempSync(join(tmpdir(), 'cache-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const mirror = await startMirror(t, {
    ecr: { knobs: { layerInaccessibleUntilTagged: false } },
    settings: { cache: { directory, scrub } },
  })
  return {
    ...mirror,
    directory,
    told: async () => {
      const ready = await fetch(`${mirror.app.operationsUrl}/readyz`)
      const { checks } = (await ready.json()) as { checks: { name: string; detail: string }[] }
      return checks.find(({ name }) => name === 'cache')?.detail ?? ''
    },
    pull: async digest => {
      const answer = await mirror.fetch(`/v2/team/app/blobs/${digest}`)
      return { cache: answer.headers.get('x-cache'), bytes: Buffer.from(await answer.arrayBuffer()) }
    },
  }
}

t.test('what the scrub finds bad is logged, told, and fetched anew when it is wanted', async t => {
  const { ecr, log, directory, told, pull } = await start(t, { every: '250ms', rate: '50MiB/s' })
  const bytes = randomBytes(300_000)
  const [bad, good] = [await ecr.putBlob('team/app', bytes), await ecr.putBlob('team/app', randomBytes(1000))]
  for (const { digest } of [bad, good]) while ((await pull(digest)).cache !== 'hit');
  const digest = parseDigest(bad.digest)
  if (!digest) throw new Error('no digest')
  const file = layoutOf(directory).blob(digest)
  const stored = readFileSync(file)
  stored[200_000]! ^= 16
  writeFileSync(file, stored)

  const ended = () => log.find(({ msg, bad: found }) => msg === 'scrub ended' && found === 1)
  while (!ended()) await pause(20)
  t.match(ended(), { level: 30, blobs: 2, bytes: 301_000, bad: 1, troubles: 0 })
  t.match(
    log.filter(({ msg }) => msg === 'mismatch'),
    [{ level: 40, digest, where: 'store' }],
  )
  t.match(
    log.find(({ msg }) => msg === 'scrub began'),
    { level: 20 },
  )
  t.match(await told(), /; scrubbed \d+ blobs, 0\.0 GiB, 1 bad, (a pass goes on|last pass ended 20\d\d-.*Z)/)
  t.same(await pull(bad.digest), { cache: 'miss', bytes })
  t.equal((await pull(good.digest)).cache, 'hit')
})

t.test('before the first pass has ended, that is what is told', async t => {
  const { told } = await start(t, {})
  t.match(await told(), '; scrubbed 0 blobs, 0.0 GiB, 0 bad, no pass ended yet')
})

t.test('a scrub that is never due is none', async t => {
  const { app, directory, told, log } = await start(t, { every: 'never' })
  t.notMatch(await told(), /scrub/)
  await app.close()
  t.notOk(existsSync(layoutOf(directory).scrub))
  t.notOk(log.find(({ msg }) => String(msg).startsWith('scrub')))
})
