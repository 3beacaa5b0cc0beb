/**
 * All tests, as `npm test` runs them: everything is compiled once, and each file runs in a process of plain Node, three at
 * a time. Compiled one by one as they are loaded, under all that tap puts before a test file, they take half as much time
 * again. One file is run by `npx tap FILE`.
 */
import t from 'tap'
import { sources, stage } from './support/staged.js'

const staged = await stage('staged')

t.jobs = 3
// Backwards, since those that take longest come late in the alphabet, and are not to run on alone at the end.
for (const file of sources('test')
  .filter(name => name.endsWith('.test.ts'))
  .reverse()) {
  void t.spawn(
    process.execPath,
    [file.replace(/\.ts$/, '.js')],
    { cwd: staged, timeout: 600_000, buffered: true },
    file,
  )
}
