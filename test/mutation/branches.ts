/**
 * Runs the unit test of each guarded module and fails when a line, a branch or a function of it was not run:
 * `npm run test:branches`, or with `-- gate digest` only of those.
 */
import { spawnSync } from 'node:child_process'
import { chosen } from './modules.js'

for (const { source, test } of chosen(process.argv.slice(2))) {
  const measure = ['c8', '--100', '--include', source, '--temp-directory', '.tap/branches', '--reporter=text']
  const { status, stdout, stderr } = spawnSync('npx', [...measure, 'node', '--import=tsx', test], {
    encoding: 'utf8',
  })
  if (status === 0) {
    console.log(`${source}: all run`)
  } else {
    console.error(`${source}:\n${stdout}${stderr}`)
    process.exitCode = 1
  }
}
