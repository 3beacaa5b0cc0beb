import { spawn } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { explain, type ExplainedStall } from './attribute.js'
import type { Locator } from './locate.js'
import { REPORT_FILE, type WatchReport } from './report.js'
import { Subtests } from './subtests.js'

export interface FileStall extends ExplainedStall {
  readonly file: string
  /** The title of the test that it came in; undefined before the first one, where modules are loaded. */
  readonly test: string | undefined
}

export interface WatchedFile {
  readonly file: string
  readonly passed: boolean
  /** The longest first. */
  readonly stalls: readonly FileStall[]
  /** The largest value of `monitorEventLoopDelay`, in milliseconds; undefined when the process left no report. */
  readonly loopDelay: number | undefined
  /** What it printed, where it failed. */
  readonly output: string
}

export interface Surroundings {
  /** What is to be loaded first. */
  readonly watch: string
  /** Where the compiled tree is. */
  readonly tree: string
  /** Where reports may be left. */
  readonly directory: string
  readonly locator: Locator
  readonly signal: AbortSignal
}

const WITHIN_MS = 300_000

/** Runs a test file in a process of its own, with the watch in it. `file` is its path in the tree, as TypeScript. */
export async function watchFile(
  file: string,
  { watch, tree, directory, locator, signal }: Surroundings,
): Promise<WatchedFile> {
  signal.throwIfAborted()
  const report = join(directory, `${file.replaceAll('/', '-')}.json`)
  const child = spawn(process.execPath, ['--import', watch, file.replace(/\.ts$/, '.js')], {
    cwd: tree,
    env: { ...process.env, [REPORT_FILE]: report, TAP_TIMEOUT: String(WITHIN_MS / 1000) },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: AbortSignal.any([signal, AbortSignal.timeout(WITHIN_MS)]),
    killSignal: 'SIGKILL',
  })
  const subtests = new Subtests()
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    subtests.read(text)
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
  // That it was killed shows in how it ended.
  child.on('error', () => undefined)
  const code = await new Promise<number | null>(resolve => child.once('close', resolve))
  const found = await readReport(report)
  const stalls = found ? explain(found, locator) : []
  return {
    file,
    passed: code === 0,
    stalls: stalls.map(stall => ({ ...stall, file, test: subtests.at(stall.from) })),
    loopDelay: found?.loopDelay,
    output: code === 0 ? '' : output,
  }
}

async function readReport(file: string): Promise<WatchReport | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as WatchReport
  } catch {
    return undefined
  } finally {
    await rm(file, { force: true })
  }
}
