import { existsSync } from 'node:fs'
import t from 'tap'
import { CLASSES } from './classes.js'

const here = (name: string): URL => new URL(name, import.meta.url)

t.test('there are as many attacks as each ring promises, and a file for each class', t => {
  const classes = Object.values(CLASSES)
  t.equal(classes.length, 24)
  t.ok(classes.reduce((sum, { short }) => sum + short, 0) >= 2_400, 'on each change')
  t.ok(classes.reduce((sum, { long }) => sum + long, 0) >= 1_000_000, 'in the long ring')
  for (const { file } of classes) t.ok(existsSync(here(`./${file}.test.ts`)), file)
  t.end()
})
