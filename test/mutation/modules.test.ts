import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { chosen, GUARDED } from './modules.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

t.test('every guarded module is there, with its unit test', t => {
  for (const { source, test } of GUARDED) {
    t.ok(existsSync(join(ROOT, source)), source)
    t.ok(existsSync(join(ROOT, test)), test)
  }
  t.end()
})

t.test('modules are chosen by any part of their path, and a part of none is a mistake', t => {
  t.same(chosen([]), GUARDED)
  t.same(
    chosen(['gate', 'oci/d']).map(({ source }) => source),
    ['src/registry/gate.ts', 'src/oci/digest.ts'],
  )
  t.throws(() => chosen(['nowhere']), /nowhere/)
  t.end()
})

t.test('no comment in the source takes code out of what is measured', t => {
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter(name =>
    name.endsWith('.ts'),
  )
  t.ok(sources.length > 100)
  const excused = sources.filter(name =>
    /\b(c8|v8|istanbul|coverage)\s+ignore\b|node:coverage|Stryker\s+(disable|restore)/i.test(
      readFileSync(join(ROOT, 'src', name), 'utf8'),
    ),
  )
  t.same(excused, [])
  t.end()
})
