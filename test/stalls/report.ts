import type { Profiler } from 'node:inspector'

/** A time in which the event loop did not turn. Times are microseconds of CLOCK_MONOTONIC, as profiles have them. */
export interface Stall {
  readonly from: number
  readonly to: number
  /** Microseconds of it in which the thread was ready to run and another one had its CPU; 0 where that is not told. */
  readonly waited: number
  /** The requests that were begun last, such as `GET /v2/`, with the last one last. */
  readonly requests: readonly string[]
}

/** What the watch of a process has seen. */
export interface WatchReport {
  /** Those of SHORTEST_MS or more. */
  readonly stalls: readonly Stall[]
  /** The largest value of `monitorEventLoopDelay` in milliseconds, which is the timer's own interval at least. */
  readonly loopDelay: number
  /** The samples of all that time, where the inspector gave them. */
  readonly profile: Profiler.Profile | undefined
}

/** How often the watch looks whether the loop turns, in milliseconds. */
export const INTERVAL_MS = 10

/** What is shorter counts as no stall, in milliseconds. */
export const SHORTEST_MS = 50

/** The environment variables that tell the watch where to leave its report; it takes them away. */
export const REPORT_FILE = 'STALL_WATCH_FILE'
export const REPORT_SOCKET = 'STALL_WATCH_SOCKET'
