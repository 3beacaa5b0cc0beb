import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { plainEnvironment, type Outcome } from '../../clients/support/run-client.js'
import { scratch } from '../../clients/support/scratch.js'

/** What somebody at a terminal does next, once the command has asked. */
export interface Typed {
  readonly asked: RegExp
  readonly answer: string
}

export interface TerminalOptions {
  /** Where what is typed is run. */
  readonly directory: string
  readonly env: Readonly<Record<string, string>>
  /** A command as it is to be started where the terminal stands; as it is when left out. */
  readonly at?: (...command: readonly string[]) => readonly string[]
  /** What a command may take at most; long when left out, for a machine that does much else. */
  readonly seconds?: number
}

/** Where text is given to `bash -e` as it is. What still runs is ended with the test. */
export interface Terminal {
  /** Runs text to its end. */
  run(text: string, typed?: readonly Typed[]): Promise<Outcome>
  /** Starts what runs until Ctrl-C, and waits until it says that it is ready. Rejects when it ends before. */
  start(text: string, ready: RegExp): Promise<Running>
}

export interface Running {
  output(): string
  /** Presses Ctrl-C, and waits for the end. */
  interrupt(): Promise<void>
}

export function openTerminal(
  t: Test,
  { directory, env, at = (...command) => command, seconds = 300 }: TerminalOptions,
): Terminal {
  const begin = async (text: string, typed: readonly Typed[]): Promise<Job> => {
    const script = join(await scratch(t), 'typed.sh')
    await writeFile(script, text)
    const bash = ['bash', '-e', script]
    // Where somebody is asked, there has to be a terminal.
    const command = typed.length === 0 ? bash : ['script', '-qec', bash.join(' '), '/dev/null']
    const job = startJob(at(...command), directory, env)
    t.teardown(() => job.end('SIGTERM'))
    if (typed.length === 0) job.type()
    return job
  }
  return {
    async run(text, typed = []) {
      const job = await begin(text, typed)
      const limit = setTimeout(() => void job.end('SIGKILL'), seconds * 1000)
      for (const { asked, answer } of typed) {
        await until(job, seconds, () => asked.test(job.output()))
        job.type(answer)
      }
      await job.ended
      clearTimeout(limit)
      return { code: job.code(), stdout: job.stdout(), output: job.output() }
    },
    async start(text, ready) {
      const job = await begin(text, [])
      if (!(await until(job, seconds, () => ready.test(job.output()))))
        throw new Error(`${text} did not come up:\n${job.output()}`)
      return { output: () => job.output(), interrupt: () => job.end('SIGINT') }
    },
  }
}

/** Whether it became true while the command ran. */
async function until(job: Job, seconds: number, isTrue: () => boolean): Promise<boolean> {
  const deadline = Date.now() + seconds * 1000
  while (!isTrue()) {
    if (!job.isRunning() || Date.now() > deadline) return false
    await sleep(20)
  }
  return true
}

interface Job {
  readonly ended: Promise<void>
  isRunning(): boolean
  code(): number | null
  stdout(): string
  output(): string
  /** Types text; without any, there is nobody who types. */
  type(text?: string): void
  /** Sends a signal to all that the command has started, as a terminal does, and kills what does not mind it. */
  end(signal: NodeJS.Signals): Promise<void>
}

const MINDS_WITHIN_MS = 15_000

function startJob(command: readonly string[], cwd: string, env: Readonly<Record<string, string>>): Job {
  // Ended with this process, should that be killed before it can do so itself; and a process group of its own.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], {
    cwd,
    env: plainEnvironment(env),
    detached: true,
  })
  let [stdout, output] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stdin.on('error', () => undefined)
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', () => resolve())
  })
  let running = true
  void ended.finally(() => (running = false))
  const signalAll = (signal: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal)
    } catch {
      // There is nobody left.
    }
  }
  return {
    ended,
    isRunning: () => running,
    code: () => child.exitCode,
    stdout: () => stdout,
    output: () => output,
    type: text => {
      if (text === undefined) child.stdin.end()
      else child.stdin.write(text)
    },
    async end(signal) {
      signalAll(signal)
      const last = setTimeout(() => signalAll('SIGKILL'), MINDS_WITHIN_MS)
      await ended
      clearTimeout(last)
    },
  }
}
