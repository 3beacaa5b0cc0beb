import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Child<Started> {
  readonly child: ChildProcess
  /** Its first message. */
  readonly started: Started
  /** Resolves when it has ended; every child of these ends when it is disconnected. */
  readonly close: () => Promise<void>
}

/** Starts a module of this folder in a process of its own, which says when it is up. */
export async function startChild<Started>(module: string): Promise<Child<Started>> {
  const file = fileURLToPath(new URL(`${module}${extname(import.meta.url)}`, import.meta.url))
  const child = fork(file, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' })
  child.setMaxListeners(0)
  const ended = once(child, 'exit')
  const lost = ended.then(([code]) => Promise.reject(new Error(`${module} ended with ${String(code)}`)))
  const [started] = (await Promise.race([once(child, 'message'), lost])) as [Started]
  lost.catch(() => undefined)
  return {
    child,
    started,
    close: async () => {
      if (child.connected) child.disconnect()
      await ended
    },
  }
}
