import type { Environment } from '../config/environment.js'

/** What a command has of the process around it. */
export interface Surroundings {
  readonly env: Environment
  readonly stdin: NodeJS.ReadStream
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  /** Calls the listener at each SIGHUP. */
  readonly onHangup: (listener: () => void) => void
  /** Calls the listener, in place of ending the process, when it is first asked to end (SIGINT, SIGTERM). */
  readonly onInterrupt: (listener: () => void) => void
}

/** Exit codes: ended as asked, failed at work, bad usage or configuration. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const

/** A command that cannot go on: what to say and the code to exit with. */
export class CommandError extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode: number) {
    super(message)
    this.name = 'CommandError'
    this.exitCode = exitCode
  }
}
