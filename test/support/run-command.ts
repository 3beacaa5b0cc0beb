import { Readable, Writable } from 'node:stream'
import { createApp } from '../../src/app.js'
import { run } from '../../src/commands/run.js'
import type { Environment } from '../../src/config/environment.js'
import type { Surroundings } from '../../src/commands/surroundings.js'

export interface CommandResult {
  readonly code: number | undefined
  readonly out: string
  readonly err: string
}

export interface CommandSurroundings {
  readonly interrupt?: AbortSignal
  readonly env?: Environment
  /** What comes from standard input. */
  readonly input?: string
}

/** Runs a command in this process, with standard streams and an environment of its own. */
export async function runCommand(
  args: readonly string[],
  { interrupt, env = {}, input = '' }: CommandSurroundings = {},
): Promise<CommandResult> {
  const [out, err] = [new Collected(), new Collected()]
  const surroundings = {
    env,
    stdin: Readable.from(input === '' ? [] : [input]),
    stdout: out,
    stderr: err,
    onHangup: () => undefined,
    onInterrupt: (listener: () => void) => interrupt?.addEventListener('abort', listener, { once: true }),
  } satisfies Partial<Record<keyof Surroundings, unknown>> as unknown as Surroundings
  const code = await run(args, surroundings, createApp)
  return { code, out: out.text, err: err.text }
}

class Collected extends Writable {
  text = ''
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString('utf8')
    done()
  }
}
