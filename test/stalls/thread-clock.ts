import { closeSync, openSync, readSync } from 'node:fs'

/** CLOCK_MONOTONIC in microseconds, the clock of V8's profiles and of all processes of a machine. */
export function monotonic(): number {
  return Number(process.hrtime.bigint() / 1000n)
}

/**
 * Tells how long the main thread of this process has waited for a CPU since it was started, in microseconds; always 0
 * where the system does not tell. The second number of /proc/PID/task/TID/schedstat is that in nanoseconds (Linux,
 * Documentation/scheduler/sched-stats.rst). The file stays open, since a process may run out of descriptors.
 */
export function waitClock(): { readonly read: () => number; readonly close: () => void } {
  const text = Buffer.alloc(128)
  let file: number
  try {
    file = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r')
  } catch {
    return { read: () => 0, close: () => undefined }
  }
  return {
    read: () => {
      const length = readSync(file, text, 0, text.length, 0)
      return Math.round(Number(text.toString('latin1', 0, length).split(' ')[1]) / 1000)
    },
    close: () => closeSync(file),
  }
}
