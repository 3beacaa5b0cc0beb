/** The thread that watches: it has the main thread profiled, and tells of it even while that one is stuck. */
import { writeFileSync } from 'node:fs'
import { Session, type Profiler } from 'node:inspector'
import { createServer } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import { LoopState } from './loop-state.js'
import { INTERVAL_MS, SHORTEST_MS, type Stall, type WatchReport } from './report.js'
import { monotonic, waitClock } from './thread-clock.js'
import type { Told, Watched } from './watch.js'

/** Microseconds between two samples. */
const SAMPLING = 5_000

const { memory, file, socket } = workerData as Watched
const state = new LoopState(memory)
const clock = waitClock()
const stalls: Stall[] = []

const session = new Session()
session.connectToMainThread()

function ask<Answer>(method: string, params: object = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    session.post(method, params, (error, answer) => {
      if (error) reject(error)
      else resolve(answer as Answer)
    })
  })
}

async function takeReport(): Promise<WatchReport> {
  const [from, to] = [state.turned, monotonic()]
  const isStuck = to - from >= (SHORTEST_MS + INTERVAL_MS) * 1000
  const now: Stall = { from, to, waited: clock.read() - state.waited, requests: state.requests() }
  const loopDelay = state.loopDelay / 1e6
  const seen = [...stalls.splice(0), ...(isStuck ? [now] : [])]
  const { profile } = await ask<{ profile: Profiler.Profile }>('Profiler.stop')
  session.disconnect()
  return { stalls: seen, loopDelay, profile }
}

// An inspector's session keeps no thread alive; that something is listened to does.
parentPort?.on('message', (told: Told) => {
  if (told !== 'end') stalls.push(told)
  else
    void takeReport().then(report => {
      if (file !== undefined) writeFileSync(file, JSON.stringify(report))
      state.reported()
    })
})
if (socket !== undefined)
  createServer(connection => {
    connection.on('error', () => undefined)
    void takeReport().then(report => connection.end(JSON.stringify(report)))
  }).listen(socket)
await ask('Profiler.enable')
await ask('Profiler.setSamplingInterval', { interval: SAMPLING })
await ask('Profiler.start')

parentPort?.postMessage('ready')
