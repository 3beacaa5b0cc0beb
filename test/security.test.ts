import { access, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { CLASSES } from './hostile/classes.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const text = await readFile(`${root}SECURITY.md`, 'utf8')
const hostile: readonly string[] = Object.values(CLASSES).map(({ file }) => `test/hostile/${file}.test.ts`)
const threats = [...text.matchAll(/^\| (T\d+) \|(.*)\|$/gm)].map(([, id = '', row = '']) => ({
  id,
  tests: row.match(/test\/[\w/-]+\.test\.ts/g) ?? [],
}))

t.test('every threat has a number of its own and tests that show what stops it', async t => {
  t.ok(threats.length >= 16)
  t.same(
    threats.map(({ id }) => id),
    threats.map((_, index) => `T${index + 1}`),
  )
  for (const { id, tests } of threats) t.ok(tests.length > 0, id)
})

t.test('the tests that it names exist', async t => {
  for (const test of new Set(threats.flatMap(({ tests }) => tests)))
    await t.resolves(access(root + test), test)
})

t.test('every class of attacks stands against a threat', async t => {
  const named = threats.flatMap(({ tests }) => tests)
  for (const test of hostile) t.ok(named.includes(test), test)
})

t.test('it says how to report, and invents no address', async t => {
  t.match(text, /Report a vulnerability/)
  t.notMatch(text, /[\w.]+@[\w.]+\.\w+|mailto:/)
})
