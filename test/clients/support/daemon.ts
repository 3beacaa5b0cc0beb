import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { plainEnvironment } from './run-client.js'

/** A process that serves until the test ends. */
export interface Daemon {
  readonly pid: number
  /** The exit code, when it has ended; null when a signal ended it. */
  readonly ended: Promise<number | null>
  /** All that it has said. */
  output(): string
}

export interface DaemonOptions {
  readonly env?: Record<string, string>
  /** Asked again and again, with what it has said so far, until true. */
  readonly ready: (output: string) => boolean | Promise<boolean>
}

const READY_WITHIN_MS = 30_000
const END_WITHIN_MS = 15_000

/** Linux ends it with this process, should that be killed before it can do so itself. */
const WITH_PARENT = process.platform === 'linux' ? ['setpriv', '--pdeathsig', 'TERM'] : []

/** Starts a process, waits until it serves, and ends it with the test. Rejects with what it said when it does not. */
export async function startDaemon(
  t: Test,
  command: readonly string[],
  { env, ready }: DaemonOptions,
): Promise<Daemon> {
  const [file = '', ...args] = [...WITH_PARENT, ...command]
  const child = spawn(file, args, { env: plainEnvironment(env), stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  }
  const closed = once(child, 'close').then(
    ([code]) => code as number | null,
    () => null,
  )
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null
  t.teardown(async () => {
    child.kill('SIGTERM')
    const last = setTimeout(() => child.kill('SIGKILL'), END_WITHIN_MS)
    await closed
    clearTimeout(last)
  })

  const deadline = Date.now() + READY_WITHIN_MS
  while (!(await ready(output))) {
    if (child.pid === undefined || !isRunning() || Date.now() > deadline) {
      throw new Error(`${command.join(' ')} did not come up:\n${output}`)
    }
    await sleep(50)
  }
  if (child.pid === undefined) throw new Error(`${command.join(' ')} could not be started`)
  return { pid: child.pid, ended: closed, output: () => output }
}
