/**
 * `npm run test:stalls`: runs each file of test/hostile in a process of its own and tells how long its event loop stood
 * still, and why. The mirror runs in the test's own process there, so a stall may be the test's own work, such as making
 * 4 MiB of JSON: the cause is the function that the profile has most samples of, and those in src/ are the mirror's.
 * Waiting for a CPU is no fault of the process, and is taken off before a stall is held against the bar.
 *
 *     npm run test:stalls                             every file of test/hostile
 *     npm run test:stalls -- test/hostile/names.test.ts --json stalls.json
 *
 * Exits with 1 when a stall of the mirror's own is above the bar, or when a file left no report.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { sources, stage } from '../support/staged.js'
import { ownMs } from './attribute.js'
import { compileWatch } from './compile-watch.js'
import { Locator } from './locate.js'
import { watchFile, type FileStall, type WatchedFile } from './watched-file.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** No single stall may be longer than that, in milliseconds. */
const BAR_MS = 200
const SHOWN = 20

const { values, positionals } = parseArgs({
  options: { json: { type: 'string' } },
  allowPositionals: true,
})

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => interrupted.abort(new Error(`Ended by ${signal}`)))

const directory = mkdtempSync(join(tmpdir(), 'stalls-'))
process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
const surroundings = {
  watch: await compileWatch(directory),
  tree: await stage('stalls'),
  directory,
  locator: new Locator(ROOT),
  signal: interrupted.signal,
}
const files =
  positionals.length > 0 ? positionals : sources('test/hostile').filter(name => name.endsWith('.test.ts'))

const watched: WatchedFile[] = []
for (const file of files) {
  const found = await watchFile(file, surroundings)
  watched.push(found)
  console.error(`${file}: ${summary(found)}`)
  if (!found.passed) console.error(found.output.split('\n').slice(-40).join('\n'))
}

const stalls = watched.flatMap(each => each.stalls).sort((one, other) => ownMs(other) - ownMs(one))
const above = stalls.filter(stall => ownMs(stall) > BAR_MS)
const serving = above.filter(({ test }) => test !== undefined)
const mirrors = serving.filter(isMirrors)
// While a file is loaded nobody is served yet.
const shown = stalls.filter(({ test }) => test !== undefined).slice(0, SHOWN)
console.log(shown.map(line).join('\n'))
console.log(
  `\n${files.length} files, ${stalls.length} stalls; above ${BAR_MS} ms: ${above.length}, of which ${above.length - serving.length} while a file was loaded and ${mirrors.length} in the mirror.`,
)
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(watched, undefined, 2)}\n`)
if (mirrors.length > 0 || watched.some(({ loopDelay }) => loopDelay === undefined)) process.exitCode = 1

/** Whether it is held against the mirror. */
function isMirrors({ owner }: FileStall): boolean {
  return owner === 'mirror' || owner === 'garbage collection'
}

function summary({ passed, loopDelay, stalls }: WatchedFile): string {
  const worst = Math.max(0, ...stalls.map(ownMs))
  const told = loopDelay === undefined ? 'no report' : `worst stall ${Math.round(worst)} ms`
  return passed ? told : `${told}; the test failed`
}

function line({ ms, waitedMs, cause, file, test, requests, ...stall }: FileStall): string {
  const waited = waitedMs >= 1 ? `, and ${Math.round(waitedMs)} ms waiting for a CPU` : ''
  const last = requests.at(-1)
  return [
    `${String(Math.round(ownMs({ ms, waitedMs }))).padStart(6)} ms${waited}  [${stall.owner}]  ${cause}`,
    `           ${file}: ${test ?? 'while it is loaded'}${last === undefined ? '' : `; last request ${last.slice(0, 80)}`}`,
  ].join('\n')
}
