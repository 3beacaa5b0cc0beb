import { readdir, readFile, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Upstream } from './upstream/upstream.js'

/** What a piece of work took. */
export interface Measured<Done> {
  /** What the work says it did: bytes, requests, or whatever its case counts. */
  readonly done: Done
  readonly seconds: number
  /** Of the server's process and its children, user and system; undefined where there is no server. */
  readonly cpuSeconds: number | undefined
  /** The same until the server was at rest again: some answer first and do the rest of the work later. */
  readonly cpuSecondsInAll: number | undefined
  /** The most resident memory of these processes at any moment of the work, each for itself, in bytes. */
  readonly peakMemory: number | undefined
  /** Bytes of blobs that the upstream sent meanwhile. */
  readonly upstreamBytes: number
}

/** Does the work and gives what it took; `pid` is the server's process. */
export async function measure<Done>(
  pid: number | undefined,
  upstream: Upstream,
  work: () => Promise<Done>,
): Promise<Measured<Done>> {
  if (pid !== undefined) await forgetPeaks(pid)
  const [cpuBefore, sentBefore] = [await cpuSecondsOf(pid), await upstream.sentBytes()]
  const start = performance.now()
  const done = await work()
  const seconds = (performance.now() - start) / 1000
  const [cpuAfter, sentAfter] = [await cpuSecondsOf(pid), await upstream.sentBytes()]
  const peakMemory = await peakMemoryOf(pid)
  await rest(pid)
  const cpuAtRest = await cpuSecondsOf(pid)
  const since = (cpu: number | undefined): number | undefined =>
    cpuBefore === undefined || cpu === undefined ? undefined : cpu - cpuBefore
  return {
    done,
    seconds,
    cpuSeconds: since(cpuAfter),
    cpuSecondsInAll: since(cpuAtRest),
    peakMemory,
    upstreamBytes: sentAfter - sentBefore,
  }
}

const LOOK_AGAIN_MS = 250
/** A server that has not come to rest by then does something of its own accord. */
const REST_WITHIN_MS = 30_000

/** Waits until the server does nothing any more, so that what it still does falls into nobody else's measurement. */
async function rest(pid: number | undefined): Promise<void> {
  const giveUpAt = performance.now() + REST_WITHIN_MS
  let before = await cpuSecondsOf(pid)
  while (pid !== undefined && performance.now() < giveUpAt) {
    await sleep(LOOK_AGAIN_MS)
    const now = await cpuSecondsOf(pid)
    // One tick is what looking after timers takes.
    if (now === undefined || before === undefined || now - before < 1.5 / TICKS_PER_SECOND) return
    before = now
  }
}

/** USER_HZ, which is 100 on every platform that Linux's proc(5) is read on. */
const TICKS_PER_SECOND = 100

/** User and system time of a process and its children, those that have ended included. proc(5), /proc/[pid]/stat. */
async function cpuSecondsOf(pid: number | undefined): Promise<number | undefined> {
  if (pid === undefined) return undefined
  let ticks = 0
  for (const each of await family(pid)) {
    // The second field is a name in parentheses, in which anything may stand.
    const fields = (await readFile(`/proc/${each}/stat`, 'utf8')).replace(/^.*\) /s, '').split(' ')
    ticks += fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
  }
  return ticks / TICKS_PER_SECOND
}

export async function peakMemoryOf(pid: number | undefined): Promise<number | undefined> {
  if (pid === undefined) return undefined
  let bytes = 0
  for (const each of await family(pid)) {
    const status = await readFile(`/proc/${each}/status`, 'utf8')
    bytes += Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
  }
  return bytes
}

/** Lets the peaks begin anew at what is resident now. proc(5), /proc/[pid]/clear_refs. */
async function forgetPeaks(pid: number): Promise<void> {
  for (const each of await family(pid)) await writeFile(`/proc/${each}/clear_refs`, '5')
}

/** A process and all that descend from it. */
async function family(pid: number): Promise<number[]> {
  const children: number[] = []
  for (const task of await readdir(`/proc/${pid}/task`)) {
    const text = await readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => '')
    children.push(...text.split(' ').filter(Boolean).map(Number))
  }
  return [pid, ...(await Promise.all(children.map(family))).flat()]
}
