import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const FOLDERS = ['src/oci', 'src/store', 'test/store/support']
const SOURCES = [
  'src/budget.ts',
  'src/read-buffers.ts',
  'src/shares.ts',
  'src/until-aborted.ts',
  'src/yielder.ts',
  ...FOLDERS.flatMap(folder => readdirSync(join(ROOT, folder)).map(name => join(folder, name))),
].filter(name => name.endsWith('.ts'))

/** The store and these helpers as plain JavaScript below `directory`: a process that runs it is there at once. */
export function compileStore(directory: string): string {
  for (const name of SOURCES) {
    const { outputText } = ts.transpileModule(readFileSync(join(ROOT, name), 'utf8'), {
      compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
    })
    const target = join(directory, name.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, outputText)
  }
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}')
  return join(directory, 'test/store/support')
}
