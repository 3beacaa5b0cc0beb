import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Case } from './case.js'
import { CASES } from './cases/cases.js'
import { missing } from './installed.js'
import { describeMachine, versions, type CaseReport, type Report } from './report.js'
import { SERVERS } from './servers/servers.js'
import { Stage } from './stage.js'
import { startUpstream } from './upstream/upstream.js'

export interface RunOptions {
  /** Tiny sizes, and all that comes is hashed: it shows that everything works, and no figure means anything. */
  readonly quick: boolean
  readonly rounds: number
  /** The Node.js that the mirror runs on, and its flags; left out: this one. */
  readonly node?: readonly string[]
  /** Names of cases; empty: all. */
  readonly only: readonly string[]
  /** Learns what happens. */
  readonly onProgress: (text: string) => void
  /** Is given all that is found so far, when a case has ended. */
  readonly onCase?: (report: Report) => void
  /** Ends the run when it aborts; everything is put away all the same. */
  readonly signal: AbortSignal
}

/** Runs the cases one after the other. Rejects when a case does not get the bytes that it asked for. */
export async function run({
  quick,
  rounds,
  node = [process.execPath],
  only,
  onProgress,
  onCase = () => undefined,
  signal,
}: RunOptions): Promise<Report> {
  if (process.platform !== 'linux') throw new Error('The benchmarks read /proc and need Linux')
  const unknown = only.find(name => !CASES.some(each => isNamed(each.name, [name])))
  if (unknown !== undefined)
    throw new Error(`There is no case ${unknown}, but ${CASES.map(({ name }) => name).join(', ')}`)
  const started = new Date().toISOString()
  const directory = await mkdtemp(join(tmpdir(), 'mirror-bench-'))
  const remove = (): void => rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  // Should this process fail where nothing else is run any more.
  process.once('exit', remove)
  try {
    const upstream = await startUpstream()
    try {
      const stage = new Stage({ upstream, directory, rounds, quick, node, signal })
      try {
        const cases: CaseReport[] = []
        const report = { started, rounds, quick, machine: describeMachine(node), versions: versions(), cases }
        for (const each of CASES.filter(({ name }) => only.length === 0 || isNamed(name, only))) {
          signal.throwIfAborted()
          onProgress(each.title)
          cases.push(await runCase(each, stage))
          onCase(report)
        }
        return report
      } finally {
        await stage.close()
      }
    } finally {
      await upstream.close()
    }
  } finally {
    process.off('exit', remove)
    remove()
  }
}

async function runCase(each: Case, stage: Stage): Promise<CaseReport> {
  const { name, title, servers } = each
  const reasons = [missing(each.needs), ...servers.map(server => missing(SERVERS[server].needs))]
  const skipped = [...new Set(reasons.filter(reason => reason !== undefined))]
  try {
    const rows = missing(each.needs) === undefined ? await each.run(stage) : []
    return { name, title, servers, rows, skipped }
  } finally {
    await stage.clear()
  }
}

/** By its name or the beginning of it: `warm-blob` is all of `warm-blob-1`, `warm-blob-16` and so on. */
function isNamed(name: string, wanted: readonly string[]): boolean {
  return wanted.some(each => name === each || name.startsWith(`${each}-`))
}
