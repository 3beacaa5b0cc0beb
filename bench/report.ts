import { execFileSync } from 'node:child_process'
import { cpus, release, tmpdir, totalmem } from 'node:os'
import type { Row } from './case.js'
import { GiB } from './content.js'
import { missing } from './installed.js'
import type { ServerName } from './servers/server.js'
import { SERVERS } from './servers/servers.js'

/** All that a run found, as it is written to JSON. */
export interface Report {
  /** ISO 8601. */
  readonly started: string
  readonly rounds: number
  readonly quick: boolean
  readonly machine: string
  /** What was compared, by its own word. */
  readonly versions: readonly string[]
  readonly cases: readonly CaseReport[]
}

export interface CaseReport {
  readonly name: string
  readonly title: string
  readonly servers: readonly ServerName[]
  readonly rows: readonly Row[]
  /** What did not run here, and why. */
  readonly skipped: readonly string[]
}

export function describeMachine(node: readonly string[]): string {
  const [first] = cpus()
  const [command = '', ...flags] = node
  const nodeVersion = [execFileSync(command, ['--version'], { encoding: 'utf8' }).trim(), ...flags].join(' ')
  const memory = `${Math.round(totalmem() / GiB)} GiB`
  return `${cpus().length} × ${first?.model ?? 'CPU'}, ${memory}, Linux ${release()}, Node.js ${nodeVersion}, files in ${tmpdir()}`
}

/** The versions of the servers that run here. */
export function versions(): string[] {
  return [[SERVERS.distribution, '--version'] as const, [SERVERS['nginx apr1'], '-v'] as const].flatMap(
    ([{ needs }, flag]) => {
      if (!needs || missing(needs) !== undefined) return []
      // nginx says it on standard error.
      return execFileSync('sh', ['-c', `exec "$0" ${flag} 2>&1`, needs.command], { encoding: 'utf8' }).trim()
    },
  )
}
