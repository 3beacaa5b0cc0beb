import { setTimeout as pause } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import type { Flags } from '../config/flags.js'
import { loadConfig } from '../config/load.js'
import { createReloader, type Reloader } from '../config/reload.js'
import type { Config } from '../config/schema.js'
import { createLog, type Log } from '../operations/log.js'
import type { Surroundings } from './surroundings.js'

/** A mirror that listens. */
export interface App {
  /** Where clients connect. */
  readonly urls: readonly string[]
  /** Takes over what may change at run time, as a whole; throws and changes nothing when it cannot. */
  reload(config: Config): Promise<void>
  /** Is told of each reload whether it came to be in force; also of one that never got as far as `reload`. */
  reloaded(succeeded: boolean): void
  /** Goes on serving, but tells balancers and clients to go elsewhere. */
  retire(): void
  /** Takes no more connections, lets requests in flight end until `signal` aborts, and frees everything. */
  close(signal?: AbortSignal): Promise<void>
}

/** Puts a mirror together and opens its ports, unless it is to be reached by way of its cache directory alone. */
export type CreateApp = (
  config: Config,
  deps: { readonly log: Log; readonly portless?: boolean },
) => Promise<App>

/** Milliseconds for the end itself, after those that requests in flight have had. */
const LAST_RESORT_MS = 2000

/**
 * Starts the mirror; a signal ends the process later. SIGTERM and SIGINT drain within `limits.drainTimeout`,
 * a second one ends at once; SIGHUP reloads. Gives false when it was to end before it had started. Throws a ConfigError,
 * or what kept the mirror from starting.
 */
export async function serve(
  flags: Flags,
  surroundings: Surroundings,
  createApp: CreateApp,
): Promise<boolean> {
  // The first process of a container hears only of signals that it listens for.
  const interrupted = new Promise<false>(resolve => surroundings.onInterrupt(() => resolve(false)))
  return Promise.race([start(flags, surroundings, createApp), interrupted])
}

async function start(flags: Flags, surroundings: Surroundings, createApp: CreateApp): Promise<true> {
  const { env, stdout, onHangup } = surroundings
  const hangups: { reloader?: Reloader } = {}
  // From the start, since without a listener SIGHUP would end the process.
  onHangup(() => void hangups.reloader?.reload())

  const load = () => loadConfig({ env, flags })
  const initial = await load()
  const { config } = initial
  const format = config.log.format ?? (stdout.isTTY ? 'pretty' : 'json')
  const log = createLog({ level: config.log.level, format, destination: stdout })
  const app = await createApp(config, { log })
  const apply = async (next: Config): Promise<void> => {
    await app.reload(next)
    log.level = next.log.level
  }
  const reloader = createReloader({
    load,
    initial,
    apply,
    log,
    onReload: succeeded => app.reloaded(succeeded),
  })
  hangups.reloader = reloader
  closeOnSignal(app, reloader, log)

  const line = `ecr-mirror listens on ${app.urls.join(' and ')}; log in with: ${loginCommand(app.urls, config)}`
  if (format === 'pretty') stdout.write(`${line}\n`)
  else log.info({ listen: app.urls }, line)
  return true
}

function closeOnSignal(app: App, reloader: Reloader, log: Log): void {
  const { drainDelay, drainTimeout } = reloader.current.limits
  closeWithGrace(
    {
      delay: drainTimeout + LAST_RESORT_MS,
      skip: ['SIGHUP'],
      logger: false,
      onSecondSignal: signal => log.warn(`${signal} again: ending at once`),
      onTimeout: delay => log.warn(`not closed after ${delay} ms: ending`),
      onSecondError: err => log.fatal({ err }, 'one more unexpected error: ending at once'),
    },
    async ({ signal, err }) => {
      if (err) log.fatal({ err }, 'unexpected error: ending')
      else log.info(`${signal ?? 'end'}: draining`)
      const cut = AbortSignal.timeout(drainTimeout)
      const reloaderClosed = reloader.close()
      // What sends SIGTERM may have put a balancer in front; whoever types Ctrl-C does not want to wait for one.
      if (signal === 'SIGTERM') {
        app.retire()
        await pause(drainDelay, undefined, { signal: cut }).catch(() => undefined)
        log.info('no more connections are taken')
      }
      await Promise.all([reloaderClosed, app.close(cut)])
      log.info('ended')
    },
  )
}

/** What to type on this machine, or anywhere once publicUrl is set. */
function loginCommand(urls: readonly string[], { publicUrl, users }: Config): string {
  const { host } = new URL(publicUrl ?? urls[0] ?? 'http://localhost')
  const user = users.plain[0]?.name
  return [
    'docker login',
    ...(user === undefined ? [] : [`-u ${user}`]),
    host.replace(/^(?:0\.0\.0\.0|\[::\])/, 'localhost'),
  ].join(' ')
}
