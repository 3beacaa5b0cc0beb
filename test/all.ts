/**
 * All tests, as `npm test` runs them: everything is compiled once, and each file runs in a process of plain Node, three at
 * a time. Compiled one by one as they are loaded, under all that tap puts before a test file, they take half as much time
 * again. One file is run by `npx tap FILE`.
 */
import { cpSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import t from 'tap'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** A copy of the tree, with the JavaScript beside its source; whatever is not compiled is linked to. */
const STAGED = join(ROOT, '.tap', 'staged')
const COMPILED = ['src', 'test', 'bench']
const NOT_LINKED = ['.git', '.tap', ...COMPILED]

const sources = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => join(folder, name))
    .sort()

rmSync(STAGED, { recursive: true, force: true })
mkdirSync(STAGED, { recursive: true })
for (const name of readdirSync(ROOT))
  if (!NOT_LINKED.includes(name)) symlinkSync(join(ROOT, name), join(STAGED, name))
for (const folder of COMPILED) cpSync(join(ROOT, folder), join(STAGED, folder), { recursive: true })
await build({
  absWorkingDir: STAGED,
  entryPoints: COMPILED.flatMap(sources),
  outdir: STAGED,
  outbase: STAGED,
  format: 'esm',
  target: 'node20',
  sourcemap: 'inline',
  logLevel: 'warning',
})

t.jobs = 3
// Backwards, since those that take longest come late in the alphabet, and are not to run on alone at the end.
for (const file of sources('test')
  .filter(name => name.endsWith('.test.ts'))
  .reverse()) {
  void t.spawn(
    process.execPath,
    [file.replace(/\.ts$/, '.js')],
    { cwd: STAGED, timeout: 600_000, buffered: true },
    file,
  )
}
