import { spawn } from 'node:child_process'

/** How a command ended, and what it said. */
export interface Outcome {
  /** Null when it was ended for taking too long. */
  readonly code: number | null
  readonly stdout: string
  /** Standard output and standard error, as they came. */
  readonly output: string
}

export interface ClientOptions {
  readonly env?: Record<string, string>
  readonly cwd?: string
  /** For standard input; empty when left out. */
  readonly input?: string
  /** Seconds that it may take, 60 when left out. */
  readonly seconds?: number
}

/** What a command gets of this process's environment: the runner's own settings and AWS's would change how it acts. */
export function plainEnvironment(more: Record<string, string> = {}): Record<string, string> {
  const { PATH = '', HOME = '', TMPDIR } = process.env
  return { PATH, HOME, LANG: 'C.UTF-8', ...(TMPDIR !== undefined && { TMPDIR }), ...more }
}

/** Runs a command to its end, whatever that is. Rejects only when it cannot be started. */
export function runClient(
  command: string,
  args: readonly string[],
  options: ClientOptions = {},
): Promise<Outcome> {
  const { env, cwd, input = '', seconds = 60 } = options
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: plainEnvironment(env),
      cwd,
      timeout: seconds * 1000,
      killSignal: 'SIGKILL',
    })
    let [stdout, output] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      output += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.once('error', reject)
    child.once('close', code => resolve({ code, stdout, output }))
    // A command may end without reading what it is told.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}

/** Runs a command that has to succeed and returns what it printed; rejects with all that it said. */
export async function succeed(
  command: string,
  args: readonly string[],
  options?: ClientOptions,
): Promise<string> {
  const { code, stdout, output } = await runClient(command, args, options)
  if (code === 0) return stdout
  const ended = code === null ? 'took too long' : `ended with ${code}`
  throw new Error(`${command} ${args.join(' ')} ${ended}:\n${output}`)
}
