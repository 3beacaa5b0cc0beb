import { cpSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const COMPILED = ['src', 'test', 'bench']
const NOT_LINKED = ['.git', '.tap', ...COMPILED]

/** The TypeScript files of a folder of the tree, by their paths from its root. */
export function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => join(folder, name))
    .sort()
}

/**
 * Makes a copy of the tree in .tap, anew, with the JavaScript beside its source; whatever is not compiled is linked to.
 * The copy's path.
 */
export async function stage(name: string): Promise<string> {
  const staged = join(ROOT, '.tap', name)
  rmSync(staged, { recursive: true, force: true })
  mkdirSync(staged, { recursive: true })
  for (const each of readdirSync(ROOT))
    if (!NOT_LINKED.includes(each)) symlinkSync(join(ROOT, each), join(staged, each))
  for (const folder of COMPILED) cpSync(join(ROOT, folder), join(staged, folder), { recursive: true })
  await build({
    absWorkingDir: staged,
    entryPoints: COMPILED.flatMap(sources),
    outdir: staged,
    outbase: staged,
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    logLevel: 'warning',
  })
  return staged
}
