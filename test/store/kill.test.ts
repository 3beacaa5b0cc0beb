import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { parseDigest } from '../../src/oci/digest.js'
import { openDiskStore } from '../../src/store/disk-store.js'
import { inRing } from '../support/ring.js'
import { fetchFrom, listed } from './support/blobs.js'
import { compileStore } from './support/compiled.js'
import { lookAt, startWriter } from './support/written.js'

const CYCLES = inRing({ short: 15, long: 50 })
const MAX_SIZE = 3 << 20

t.test(`a process killed at ${CYCLES} random moments leaves nothing wrong and loses nothing`, async t => {
  t.setTimeout(600_000)
  const program = join(compileStore(t.testdir()), 'writer.js')
  const directory = join(t.testdirName, 'cache')
  const stored = new Set<string>()
  const seed = Date.now() % 1_000_000
  t.comment(`seed ${seed}`)
  const seen = {
    stored: 0,
    leftovers: 0,
    suspended: 0,
    bad: [] as string[],
    lost: [] as string[],
    wrong: [] as string[],
  }
  // Whether a kill meets a file that is being written, and a download, is a matter of luck.
  const metWork = (): boolean => seen.leftovers > 0 && seen.suspended > 0
  for (let cycle = 0; cycle < CYCLES || (!metWork() && cycle < 4 * CYCLES); cycle++) {
    const writer = startWriter(t, program, [directory, String(seed + cycle), String(MAX_SIZE)], stored)
    await writer.storedMore(1)
    await sleep(Math.random() * 120)
    await writer.kill()
    seen.stored += writer.count()
    seen.wrong.push(...writer.wrong)
    seen.leftovers += readdirSync(join(directory, 'v1/ingest')).length
    const { found, bad } = await lookAt(directory)
    seen.bad.push(...bad)
    seen.lost.push(...[...stored].filter(digest => !found.has(digest)))
    // What was stored when the process died before saying so counts from now on.
    for (const digest of found) stored.add(digest)

    const store = await openDiskStore({ directory, maxSize: MAX_SIZE, minFree: { bytes: 0 } })
    if (readdirSync(join(directory, 'v1/ingest')).length > 0) t.fail('temporary files are left')
    seen.suspended += readdirSync(join(directory, 'v1/partial')).length
    // The start may evict, when the kill came before that was done.
    await store.settled()
    const there = (await lookAt(directory)).found
    if (cycle % 10 === 0) {
      t.same(new Set(await listed(store)), there, 'the index was rebuilt')
      for (const text of there) {
        const digest = parseDigest(text)
        if (!digest || !(await fetchFrom(store, digest))) t.fail(`${text} is not served`)
      }
    }
    await store.close()
    for (const digest of stored) if (!there.has(digest)) stored.delete(digest)
  }
  t.comment(
    `${seen.stored} stored, ${seen.leftovers} temporary files left by the killed, ${seen.suspended} suspended`,
  )
  t.same(seen.bad, [], 'no file holds other bytes than its name says')
  t.same(seen.lost, [], 'nothing that was said to be stored is lost')
  t.same(seen.wrong, [], 'no reader saw wrong bytes')
  t.ok(seen.stored > CYCLES && metWork(), 'the kills came in mid-work')
})
