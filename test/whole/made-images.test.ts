import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { mirrorOf, type MirrorUnderTest } from '../support/mirror.js'
import { inRing } from '../support/ring.js'
import { runCommand, type CommandResult } from '../support/run-command.js'
import { foreignIn, make, madeManifest, partsIn } from './support/made-images.js'

const CASES = inRing({ short: 100, long: 2_000 })
const BATCH = 50

interface Stage extends MirrorUnderTest {
  readonly command: (name: string, ...args: string[]) => Promise<CommandResult>
}

async function folder(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'made-images-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

async function start(t: Test, ecr: Ecr, closed = false): Promise<Stage> {
  const directory = await folder(t)
  const nowhere = 'http://127.0.0.1:9'
  const mirror = await mirrorOf(t, ecr, {
    logLevel: 'warn',
    upstream: closed ? { endpoint: nowhere, apiEndpoint: nowhere } : {},
    settings: { cache: { directory, tags: { ttl: '1h' }, scrub: { every: 'never' } } },
  })
  // The other mirror's lies in the same place.
  const own = await folder(t)
  await cp(dirname(mirror.configFile), own, { recursive: true })
  return {
    ...mirror,
    command: (name, ...args) => runCommand([name, '--config', join(own, 'mirror.json'), ...args]),
  }
}

interface Case {
  readonly repository: string
  /** As people name it. */
  readonly name: string
  readonly digest: string
  readonly isWarmed: boolean
}

interface Row {
  readonly image: string
  readonly complete: boolean
}

/** Those that a mirror without its registry answers otherwise than with what it should. */
async function unanswered(
  { fetch }: Stage,
  { repository }: Case,
  paths: readonly string[],
): Promise<string[]> {
  const failed: string[] = []
  for (const path of paths) {
    const answer = await fetch(`/v2/${repository}/${path}`)
    await answer.arrayBuffer()
    if (answer.status !== 200) failed.push(`${path} ${answer.status}`)
  }
  return failed
}

async function completeIn({ command }: Stage): Promise<Set<string>> {
  const rows = JSON.parse((await command('images', '--json')).out) as Row[]
  const incomplete = new Set(rows.filter(({ complete }) => !complete).map(({ image }) => image))
  return new Set(rows.map(({ image }) => image).filter(image => !incomplete.has(image)))
}

const complete = { images: 0, warmed: 0, exported: 0 }

async function tryBatch(t: Test, from: number, count: number): Promise<void> {
  const ecr = await startEcr({ profile: 'spec' })
  let isUp = true
  t.teardown(() => (isUp ? ecr.close() : undefined))
  const [open, closed] = [await start(t, ecr), await start(t, ecr, true)]
  const samples = fc.sample(madeManifest, { seed: from + 1, numRuns: count })
  const cases: Case[] = []
  for (const [index, made] of samples.entries()) {
    const repository = `case/n${from + index}`
    const digest = await make(ecr, repository, '1', made)
    cases.push({ repository, name: `main/${repository}:1`, digest, isWarmed: index % 2 !== 0 })
  }

  for (const { repository, digest } of cases) {
    const path = `/v2/${repository}/manifests/1`
    const head = await open.fetch(path, { method: 'HEAD', headers: { 'cache-control': 'no-cache' } })
    t.equal(head.headers.get('docker-content-digest'), digest)
    const got = Buffer.from(await (await open.fetch(path)).arrayBuffer())
    if (!got.equals(ecr.manifest(repository, '1')!.bytes)) t.fail(`${repository} came otherwise`)
  }
  // Some are warmed; of the others somebody pulls all, all but something, or all that is to be had nowhere else.
  const warmed = await open.command(
    'warm',
    ...cases.filter(({ isWarmed }) => isWarmed).map(({ name }) => name),
  )
  const unwarmed = new Set(/not all is in the cache of: (.*)/.exec(warmed.err)?.[1]?.split(', '))
  for (const [index, each] of cases.entries()) {
    if (each.isWarmed) continue
    const parts = partsIn(ecr, each.repository, each.digest, 'all')
    const foreign = foreignIn(ecr, each.repository, parts)
    const pulled = [
      parts,
      parts.filter((_, at) => at !== index % parts.length),
      parts.filter(part => !foreign.has(part)),
    ][(index / 2) % 3]
    await unanswered(open, each, pulled ?? parts)
  }

  const listed = await completeIn(open)
  const bundle = join(await folder(t), 'bundle.tar')
  const all = await open.command('export', ...cases.map(({ name }) => name), '-o', bundle)
  const whole = cases.filter(({ name }) => !all.err.includes(`ecr-mirror: ${name}: `))
  if (whole.length > 0) {
    const exported = await open.command('export', ...whole.map(({ name }) => name), '-o', bundle)
    t.equal(exported.code, 0, exported.err)
    const imported = await closed.command('import', bundle)
    t.equal(imported.code, 0, imported.err)
  }
  for (const path of ['/status', '/status/live'])
    t.equal((await fetch(open.app.operationsUrl + path)).status, 200)

  isUp = false
  await ecr.close()
  for (const each of cases) {
    const parts = (which: 'all' | 'to run') => partsIn(ecr, each.repository, each.digest, which)
    const isListed = listed.has(each.name)
    if (isListed) t.same(await unanswered(open, each, parts('to run')), [], `images: ${each.name}`)
    const isWarmed = each.isWarmed && !unwarmed.has(each.name)
    if (isWarmed) t.same(await unanswered(open, each, parts('all')), [], `warm: ${each.name}`)
    const isExported = whole.includes(each)
    if (isExported) t.same(await unanswered(closed, each, parts('to run')), [], `export: ${each.name}`)
    complete.images += Number(isListed)
    complete.warmed += Number(isWarmed)
    complete.exported += Number(isExported)
  }
  const purged = cases.filter((_, index) => index % 10 === 0)
  const dropped = await open.command('purge', ...purged.map(({ name }) => name))
  t.equal(dropped.code, 0, dropped.err)
  for (const { name } of purged) listed.delete(name)
  t.same(await completeIn(open), listed, 'what is dropped takes nothing from the others')
}

t.test('images are complete only when they can be pulled without their registry', async t => {
  t.setTimeout(3_600_000)
  const begun = performance.now()
  for (let from = 0; from < CASES; from += BATCH)
    await t.test(`from case ${from}`, t => {
      t.setTimeout(600_000)
      return tryBatch(t, from, Math.min(BATCH, CASES - from))
    })
  t.comment(
    `${CASES} cases in ${((performance.now() - begun) / 1000).toFixed()} s: ${JSON.stringify(complete)}`,
  )
  for (const [what, count] of Object.entries(complete)) {
    t.ok(count > CASES / 10, `some are complete: ${what}`)
    t.ok(count < CASES * 0.9, `and some are not: ${what}`)
  }
})
