import type { Logger } from 'pino'
import { ConfigError } from './config-error.js'
import { filesBehind, type LoadedConfig } from './load.js'
import type { Config } from './schema.js'
import { watchFiles } from './watch-files.js'

export interface ReloaderOptions {
  readonly load: () => Promise<LoadedConfig>
  /** What the mirror started with. */
  readonly initial: LoadedConfig
  /** Puts a configuration in force as a whole, or throws and leaves the old one in force. */
  readonly apply: (config: Config) => Promise<void>
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  /** Is told whether a reload put something in force. */
  readonly onReload?: (succeeded: boolean) => void
  /** Milliseconds between two looks at the files. */
  readonly interval?: number
}

export interface Reloader {
  /** The configuration in force. */
  readonly current: Config
  /** How often a reload went well or was refused since the start. */
  readonly counts: { readonly succeeded: number; readonly failed: number }
  /** Loads the configuration anew, after a reload that is going on; never rejects. */
  reload(): Promise<void>
  /** Ends the watch of files and waits for a reload that is going on. */
  close(): Promise<void>
}

/**
 * Keeps the configuration in step with its files: the file itself, the users and the certificates. One that cannot be
 * used changes nothing; it is logged and counted.
 */
export function createReloader({
  load,
  initial,
  apply,
  log,
  onReload = () => undefined,
  interval,
}: ReloaderOptions): Reloader {
  let current = initial.config
  let succeeded = 0
  let failed = 0
  let running: Promise<void> | undefined
  let waiting: Promise<void> | undefined
  let watched = filesBehind(initial)
  let stop = watchFiles(watched, () => void reload(), interval)
  let closed = false

  function reload(): Promise<void> {
    if (closed) return Promise.resolve()
    if (!running) {
      running = reloadOnce().finally(() => (running = undefined))
      return running
    }
    // What came meanwhile is covered by one more reload, however often it was asked for.
    waiting ??= running.then(() => {
      waiting = undefined
      return reload()
    })
    return waiting
  }

  async function reloadOnce(): Promise<void> {
    try {
      const loaded = await load()
      watch(filesBehind(loaded))
      const { config, kept } = keepWhatCannotChange(loaded.config, current)
      for (const key of kept)
        log.warn({ key }, `${key} cannot change while the mirror runs; restart it for that`)
      await apply(config)
      current = config
      succeeded++
      onReload(true)
      log.info('configuration reloaded')
    } catch (error) {
      failed++
      onReload(false)
      const lines =
        error instanceof ConfigError
          ? error.lines
          : [error instanceof Error ? error.message : 'unknown error']
      for (const line of lines) log.error(`configuration not reloaded, the old one stays in force: ${line}`)
    }
  }

  function watch(files: readonly string[]): void {
    if (closed || files.join('\0') === watched.join('\0')) return
    stop()
    watched = [...files]
    stop = watchFiles(watched, () => void reload(), interval)
  }

  return {
    get current() {
      return current
    },
    get counts() {
      return { succeeded, failed }
    },
    reload,
    close: async () => {
      closed = true
      stop()
      await running
    },
  }
}

/** Sockets are bound once, and a bound one does not change between http and https. */
function keepWhatCannotChange(next: Config, running: Config): { config: Config; kept: string[] } {
  const kept: string[] = []
  let config = next
  if (!same(next.listen, running.listen)) {
    kept.push('listen')
    config = { ...config, listen: running.listen }
  }
  if (!same(next.operations.listen, running.operations.listen)) {
    kept.push('operations.listen')
    config = { ...config, operations: running.operations }
  }
  if (next.tls.length > 0 !== running.tls.length > 0) {
    kept.push('tls')
    config = { ...config, tls: running.tls }
  }
  return { config: Object.freeze(config), kept }
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
