import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { inRing } from '../support/ring.js'
import { compileStore } from './support/compiled.js'
import { makeImage, mountDirectory, mountImage, noImages } from './support/mounts.js'
import { lookAt, startWriter } from './support/written.js'

const CUTS = inRing({ short: 8, long: 20 })
const IMAGE_SIZE = 48 << 20

interface Outcome {
  cuts: number
  found: number
  /** Said to be stored at the cut. */
  stored: number
  bad: string[]
  lost: string[]
}

/**
 * A power cut is a copy of the file system's image while a process works on it: what was never synced is not in it.
 * The process is stopped meanwhile, so that the copy is of one moment. It goes on afterwards, towards the next cut.
 */
async function cutPower(
  t: Test,
  { cuts, until = () => false, mode }: { cuts: number; until?: (outcome: Outcome) => boolean; mode?: string },
): Promise<Outcome> {
  const program = join(compileStore(t.testdir()), 'writer.js')
  // In memory: the copy is quick then, and the disk is not what is tried.
  const work = mountDirectory(t)
  const [image, copy] = [join(work, 'image'), join(work, 'copy')]
  makeImage(image, IMAGE_SIZE)
  const { directory } = mountImage(t, image, join(work, 'mounted'))
  const seed = Date.now() % 1_000_000
  t.comment(`seed ${seed}`)
  const args = [join(directory, 'cache'), String(seed), String(8 << 20), ...(mode ? [mode] : [])]
  const writer = startWriter(t, program, args, new Set())
  const outcome: Outcome = { cuts: 0, found: 0, stored: 0, bad: [], lost: [] }
  for (; outcome.cuts < cuts && !until(outcome); outcome.cuts++) {
    await writer.storedMore(5)
    await sleep(Math.random() * 100)
    writer.child.kill('SIGSTOP')
    // What was begun ends, and what was said is heard.
    await sleep(40)
    const stored = new Set(writer.stored)
    copyFileSync(image, copy)
    writer.child.kill('SIGCONT')

    const after = mountImage(t, copy, join(work, 'after'))
    const { found, bad } = await lookAt(join(after.directory, 'cache'))
    after.unmount()
    outcome.stored += stored.size
    outcome.found += found.size
    outcome.bad.push(...bad)
    outcome.lost.push(...[...stored].filter(digest => !found.has(digest)))
  }
  await writer.kill()
  t.same(writer.wrong, [], 'no reader saw wrong bytes')
  t.comment(
    `${outcome.found} files found in ${outcome.cuts} cuts, ${outcome.bad.length} bad, ${outcome.lost.length} lost`,
  )
  return outcome
}

t.test(`${CUTS} power cuts leave no wrong file and lose nothing`, { skip: noImages }, async t => {
  t.setTimeout(600_000)
  const { found, bad, lost, stored } = await cutPower(t, { cuts: CUTS })
  t.same(bad, [])
  t.same(lost, [])
  t.ok(stored > CUTS && found >= stored, 'there was something to lose')
})

t.test('without the fsync of the file, power cuts do harm: the rig sees it', { skip: noImages }, async t => {
  const { bad } = await cutPower(t, { cuts: 5, mode: 'unsynced-files' })
  t.ok(bad.length > 0, 'files with other bytes than their names say')
})

t.test(
  'without the fsync of the folder, power cuts lose blobs: the rig sees it',
  { skip: noImages },
  async t => {
    // The next fsync of any file makes a rename durable too, so that only some cuts come in between.
    const { bad, lost } = await cutPower(t, {
      cuts: 100,
      until: ({ lost }) => lost.length > 0,
      mode: 'unsynced-folders',
    })
    t.same(bad, [])
    t.ok(lost.length > 0, 'what was said to be stored is not there')
  },
)
