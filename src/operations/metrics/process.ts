import { collectDefaultMetrics, Registry } from '@prometheus-io/client'
import type { Metrics } from '../metrics.js'
import { gauge } from './read.js'

/** Which program this is. */
export function buildMetrics(metrics: Metrics, { version, node }: { version: string; node: string }): void {
  gauge(metrics, {
    name: 'build_info',
    help: 'The version of the mirror and of the Node.js that it runs on.',
    labels: ['version', 'node'],
    read: () => [[{ version, node }, 1]],
  })
}

let shared: Registry | undefined

/**
 * The numbers of the process: processor, memory, files, garbage collection, event loop. They are the same for every
 * mirror in it, and watched from when they are first asked for to its end.
 */
export function processMetrics(): Metrics {
  if (!shared) {
    shared = new Registry()
    collectDefaultMetrics({ register: shared })
  }
  return shared
}
