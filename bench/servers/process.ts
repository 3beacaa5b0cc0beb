import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { plainEnvironment } from '../../test/clients/support/run-client.js'

export interface ServerProcess {
  readonly pid: number
  /** All that it has said. */
  readonly output: () => Promise<string>
  /** Kills it when it has not ended within so many milliseconds; whether it ended by itself. */
  readonly stop: (withinMs?: number) => Promise<boolean>
}

const READY_WITHIN_MS = 60_000
const END_WITHIN_MS = 30_000
/** Linux ends it with this process, should that be killed before it can do so itself. */
const WITH_PARENT = ['setpriv', '--pdeathsig', 'TERM']

/**
 * Starts a server and resolves when `ready`, which is given what it has said so far. It logs into a file of `directory`,
 * so that nobody has to read along.
 */
export async function startProcess(
  command: readonly string[],
  directory: string,
  ready: (output: string) => boolean | Promise<boolean>,
  env: Record<string, string> = {},
): Promise<ServerProcess> {
  const file = join(directory, 'output')
  const log = await open(file, 'w')
  const [first = '', ...args] = [...WITH_PARENT, ...command]
  const child = spawn(first, args, { env: plainEnvironment(env), stdio: ['ignore', log.fd, log.fd] })
  const ended = once(child, 'exit').catch(() => undefined)
  await log.close()

  const output = (): Promise<string> => readFile(file, 'utf8')
  const stop = async (withinMs = END_WITHIN_MS): Promise<boolean> => {
    child.kill('SIGTERM')
    const last = setTimeout(() => child.kill('SIGKILL'), withinMs)
    await ended
    clearTimeout(last)
    return child.signalCode !== 'SIGKILL'
  }
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null
  const deadline = Date.now() + READY_WITHIN_MS
  while (!(await ready(await output()))) {
    if (child.pid === undefined || !isRunning() || Date.now() > deadline) {
      await stop()
      throw new Error(`${command.join(' ')} did not come up:\n${await output()}`)
    }
    await sleep(20)
  }
  return { pid: child.pid ?? 0, output, stop }
}
