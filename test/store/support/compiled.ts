import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const FOLDERS = ['src/oci', 'src/store', 'test/store/support']

/** The store and these helpers as plain JavaScript below `directory`: a process that runs it is there at once. */
export function compileStore(directory: string): string {
  for (const folder of FOLDERS) {
    for (const name of readdirSync(join(ROOT, folder))) {
      if (!name.endsWith('.ts')) continue
      const { outputText } = ts.transpileModule(readFileSync(join(ROOT, folder, name), 'utf8'), {
        compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
      })
      const target = join(directory, folder, name.replace(/\.ts$/, '.js'))
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, outputText)
    }
  }
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}')
  return join(directory, 'test/store/support')
}
