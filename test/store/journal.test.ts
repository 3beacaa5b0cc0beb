import { appendFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createJournal, type Entry } from '../../src/store/journal.js'
import { mountDirectory, mountTmpfs, noMounts } from './support/mounts.js'

async function entriesOf(file: string): Promise<Entry[]> {
  const entries: Entry[] = []
  await createJournal({ file, onTrouble: error => t.fail(String(error)) }).replay(entry =>
    entries.push(entry),
  )
  return entries
}

t.test('entries come back in their order, without those that are damaged', async t => {
  const file = `${t.testdir()}/journal`
  const journal = createJournal({ file, onTrouble: error => t.fail(String(error)) })
  journal.append([1])
  journal.append(['two', 2])
  await journal.appendDurably([3])
  await appendFile(file, '{"no":"array"}\n[4')
  t.same(await entriesOf(file), [[1], ['two', 2], [3]])
  await journal.close()
})

t.test('it stays short, however much is appended, and loses nothing meanwhile', async t => {
  const file = `${t.testdir()}/journal`
  const journal = createJournal({ file, onTrouble: error => t.fail(String(error)), slack: 100, delay: 1 })
  const values = new Map<string, number>()
  await journal.keepShort(() => values)
  let longest = 0
  for (let turn = 0; turn < 5_000; turn++) {
    const key = `key ${turn % 50}`
    values.set(key, turn)
    journal.append([key, turn])
    if (turn % 10 === 0) {
      values.set('durable', turn)
      await journal.appendDurably(['durable', turn])
      longest = Math.max(longest, (await readFile(file, 'utf8')).split('\n').length)
    }
  }
  await journal.close()
  t.ok(longest < 300, `${longest} lines at most`)
  t.same(new Map((await entriesOf(file)) as [string, number][]), values)
})

t.test('what is appended durably while the file is made short is there in the end', async t => {
  const file = `${t.testdir()}/journal`
  const journal = createJournal({ file, onTrouble: error => t.fail(String(error)), slack: 10 })
  let kept = 0
  await journal.keepShort(() => Array.from({ length: kept }, (_, index) => ['kept', index]))
  kept = 30_000
  for (let count = 0; count < 11; count++) journal.append(['early', count])
  const shortening = journal.appendDurably(['during', 0])
  // Until that is on its way.
  await new Promise(resolve => setTimeout(resolve, 5))
  const late = journal.appendDurably(['late', 0])
  await Promise.all([shortening, late])
  const entries = await entriesOf(file)
  t.same(entries.at(-1), ['late', 0])
  t.equal(entries.length, 30_001, 'and what came before is in what was kept')
  await journal.close()
})

t.test('trouble is told of once, and does no harm', async t => {
  const troubles: unknown[] = []
  const journal = createJournal({ file: '/dev/null/journal', onTrouble: error => troubles.push(error) })
  await journal.keepShort(() => [])
  await journal.appendDurably([1])
  await journal.appendDurably([2])
  await journal.close()
  t.equal(troubles.length, 1)
})

t.test(
  'what a full disk cut in the midst of an entry is whole again once there is room',
  { skip: noMounts },
  async t => {
    const { directory } = mountTmpfs(t, join(mountDirectory(t), 'small'), '256k')
    const [file, ballast] = [join(directory, 'journal'), join(directory, 'ballast')]
    const troubles: unknown[] = []
    const journal = createJournal({ file, onTrouble: error => troubles.push(error) })
    const values = new Map<string, number>()
    await journal.keepShort(() => values)
    const append = async (turn: number): Promise<void> => {
      values.set(`key ${turn}`, turn)
      await journal.appendDurably([`key ${turn}`, turn])
    }
    for (let turn = 0; turn < 10; turn++) await append(turn)
    await writeFile(ballast, Buffer.alloc(256 * 1024)).catch(() => undefined)
    let turn = 10
    while (troubles.length === 0 && turn < 2000) await append(turn++)
    t.match(troubles, [{ code: 'ENOSPC' }])
    t.notOk((await readFile(file, 'utf8')).endsWith('\n'), 'the last line is cut')
    await append(turn++)
    t.equal(troubles.length, 1, 'it is told of once')

    await rm(ballast)
    await append(turn++)
    t.same(new Map((await entriesOf(file)) as [string, number][]), values)
    await append(turn++)
    await journal.close()
    t.same(new Map((await entriesOf(file)) as [string, number][]), values)
  },
)
