import type { Metrics } from '../metrics.js'
import { counter, gauge } from './read.js'

/** Counts reloads of the configuration; gives what is to be told of each. The start is a success, but no reload. */
export function reloadMetrics(metrics: Metrics, now: () => number = Date.now): (succeeded: boolean) => void {
  const counts = { succeeded: 0, failed: 0 }
  let last = { succeeded: true, successAt: now() }
  gauge(metrics, {
    name: 'config_last_reload_successful',
    help: 'Whether the configuration of the last reload, or of the start, is in force.',
    read: () => Number(last.succeeded),
  })
  gauge(metrics, {
    name: 'config_last_reload_success_timestamp_seconds',
    help: 'When the configuration in force was put there, in seconds since 1970.',
    read: () => last.successAt / 1000,
  })
  counter(metrics, {
    name: 'config_reloads_total',
    help: 'Reloads of the configuration.',
    labels: ['result'],
    read: () => Object.entries(counts).map(([result, count]) => [{ result }, count]),
  })
  return succeeded => {
    counts[succeeded ? 'succeeded' : 'failed']++
    last = { succeeded, successAt: succeeded ? now() : last.successAt }
  }
}
