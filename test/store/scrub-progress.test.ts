import * as nodeFiles from 'node:fs/promises'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { FileSystem } from '../../src/store/file-system.js'
import { layoutOf, type Layout } from '../../src/store/layout.js'
import { scrubProgressFile, type ScrubProgress } from '../../src/store/scrub-progress.js'
import { blobOf, putAll } from './support/blobs.js'
import { cacheDirectory, DAY, fails, HOUR, scrubStand } from './support/scrub-stand.js'

const counts = { blobs: 1, bytes: 2, bad: 3, troubles: 4 }
const pass = { began: 1_700_000_000_001, last: blobOf(1, 1).digest, counts }
const progress: ScrubProgress = { since: 1, ended: 1_700_000_000_000.5, pass }

function layoutIn(t: Test): Layout {
  const layout = layoutOf(t.testdir())
  mkdirSync(layout.ingest, { recursive: true })
  return layout
}

t.test('what is written is read again, and nothing else is left', async t => {
  const layout = layoutIn(t)
  const file = scrubProgressFile(nodeFiles, layout)
  t.equal(await file.read(), undefined)
  for (const each of [progress, { since: 5 }, { since: 5, ended: 6 }]) {
    await file.write(each)
    t.same(await file.read(), each)
  }
  t.same(readdirSync(layout.root), ['ingest', 'scrub.json'])
  t.same(readdirSync(layout.ingest), [])
})

t.test('a write that fails leaves what was there', async t => {
  const layout = layoutIn(t)
  await scrubProgressFile(nodeFiles, layout).write(progress)
  const broken = (name: 'writeFile' | 'sync'): FileSystem => ({
    ...nodeFiles,
    open: async (...args) => {
      const handle = await nodeFiles.open(...args)
      handle[name] = async () => fails('ENOSPC')
      return handle
    },
  })
  const failing: FileSystem[] = [
    broken('writeFile'),
    broken('sync'),
    { ...nodeFiles, rename: async () => fails('ENOSPC') },
  ]
  for (const files of failing) {
    await t.rejects(scrubProgressFile(files, layout).write({ since: 5 }), { code: 'ENOSPC' })
    t.same(await scrubProgressFile(nodeFiles, layout).read(), progress)
    t.same(readdirSync(layout.ingest), [])
  }
})

const DAMAGED: Record<string, string> = {
  'an empty file': '',
  'one that is cut off': JSON.stringify(progress).slice(0, -5),
  'other bytes': '\0\xff\0',
  'something else': '[]',
  'a time that is none': '{"since":"yesterday"}',
  'a time that no calendar has': '{"since":1,"ended":1e300}',
  'a digest that is none': JSON.stringify({ ...progress, pass: { ...pass, last: 'sha256:../../x' } }),
  'a count that is none': JSON.stringify({
    ...progress,
    pass: { ...pass, counts: { ...counts, blobs: -1 } },
  }),
}

for (const [what, text] of Object.entries(DAMAGED)) {
  t.test(`${what} is as good as none: the first pass is due after one interval`, async t => {
    const directory = cacheDirectory(t)
    const { store, layout, start, told, watched } = await scrubStand(t, { directory, passed: HOUR })
    await putAll(store, blobOf(1, 10))
    writeFileSync(layout.scrub, text)
    const scrub = await start()
    t.equal(scrub.state().ended, undefined)
    t.match(await told('scrub ended'), { blobs: 1, bad: 0 })
    t.equal(Math.floor((watched.reads[0]?.at ?? 0) / DAY), 1)
    await scrub.stop()
    t.match(await scrubProgressFile(nodeFiles, layout).read(), { ended: Number }, 'and it is written anew')
  })
}

t.test('a directory in its place is neither read nor written, and does no harm', async t => {
  const { store, layout, start, told, events } = await scrubStand(t)
  await putAll(store, blobOf(1, 10))
  mkdirSync(layout.scrub)
  const scrub = await start()
  t.match(await told('scrub ended'), { blobs: 1, bad: 0 })
  await scrub.stop()
  t.same(
    events.map(({ kind }) => kind),
    ['scrub trouble', 'scrub began', 'scrub ended'],
  )
  t.same(readdirSync(layout.ingest), [])
})
