/**
 * Watches the event loop of the process that it is loaded into before everything else, `node --import watch.mjs …`: notes
 * each time in which the loop did not turn, and has the process profiled all along, which tells why. The report is asked
 * for at a Unix socket, which also answers when the loop never turns again, or is written to a file when the process
 * exits. Processes that this one starts are not watched.
 */
import { subscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { extname } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread, Worker } from 'node:worker_threads'
import { LoopState } from './loop-state.js'
import { INTERVAL_MS, REPORT_FILE, REPORT_SOCKET, SHORTEST_MS, type Stall } from './report.js'
import { monotonic, waitClock } from './thread-clock.js'

/** What the watching thread is given. */
export interface Watched {
  readonly memory: SharedArrayBuffer
  readonly file: string | undefined
  readonly socket: string | undefined
}

/** What it is told: a stall that has ended, or that the process does. */
export type Told = Stall | 'end'

/** Microseconds that a busy machine may take for the samples of minutes. */
const REPORTED_WITHIN = 60_000_000

async function watch(file: string | undefined, socket: string | undefined): Promise<void> {
  const state = new LoopState()
  const watcher = new Worker(new URL(`watcher${extname(import.meta.url)}`, import.meta.url), {
    workerData: { memory: state.memory, file, socket } satisfies Watched,
    stdout: false,
  })
  const tell = (told: Told): void => watcher.postMessage(told)
  // From when on the process is profiled.
  await once(watcher, 'message')
  watcher.unref()

  subscribe('http.server.request.start', message => {
    const { request } = message as { readonly request: IncomingMessage }
    state.begin(`${request.method ?? ''} ${request.url ?? ''}`)
  })
  const delay = monitorEventLoopDelay({ resolution: INTERVAL_MS })
  delay.enable()
  const clock = waitClock()
  state.turn(monotonic(), clock.read(), 0)
  const turn = (): void => {
    const [from, waitedBefore] = [state.turned, state.waited]
    const [to, waited] = [monotonic(), clock.read()]
    if (to - from >= (SHORTEST_MS + INTERVAL_MS) * 1000)
      tell({ from, to, waited: waited - waitedBefore, requests: state.requests() })
    state.turn(to, waited, delay.max)
  }
  setInterval(turn, INTERVAL_MS).unref()

  process.once('exit', () => {
    turn()
    if (file === undefined) return
    tell('end')
    const deadline = monotonic() + REPORTED_WITHIN
    // Asleep for moments only: the profile is taken from this thread while it runs.
    while (!state.awaitReport(5) && monotonic() < deadline);
  })
}

const { [REPORT_FILE]: file, [REPORT_SOCKET]: socket } = process.env
if (isMainThread && (file ?? socket) !== undefined) {
  // What this process starts inherits them, and perhaps the flag that loads this.
  Reflect.deleteProperty(process.env, REPORT_FILE)
  Reflect.deleteProperty(process.env, REPORT_SOCKET)
  await watch(file, socket)
}
