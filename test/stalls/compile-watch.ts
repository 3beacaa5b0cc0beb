import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/** Compiles the watch into a directory, for processes of plain Node; the path of what they are to `--import`. */
export async function compileWatch(directory: string): Promise<string> {
  await build({
    absWorkingDir: fileURLToPath(new URL('.', import.meta.url)),
    entryPoints: ['watch.ts', 'watcher.ts'],
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    outExtension: { '.js': '.mjs' },
    outdir: directory,
    logLevel: 'warning',
  })
  return join(directory, 'watch.mjs')
}
