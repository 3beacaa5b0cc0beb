import { Histogram } from '@prometheus-io/client'
import {
  RETRY_REASONS,
  type Operation,
  type RequestOutcome,
  type RetryReason,
  type UpstreamObserver,
} from '../../upstream/observer.js'
import type { Metrics } from '../metrics.js'
import { counter, PREFIX, type Sample } from './read.js'

/** What was counted of one upstream. */
interface Tally {
  /** Whether it is still configured; what its last requests do afterwards is nobody's matter. */
  live: boolean
  readonly requests: Map<Operation, Map<RequestOutcome, number>>
  readonly retries: Map<RetryReason, number>
  received: number
  sent: number
}

export interface UpstreamMetrics {
  /** For the upstream of this name, whose numbers go on where an earlier one's of the same name ended. */
  readonly observer: (name: string) => UpstreamObserver
  /** Forgets all upstreams but these. */
  readonly keep: (names: readonly string[]) => void
}

/** In seconds, up to what the transport waits for. */
const DURATIONS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** What there is to count between the mirror and its upstreams, their storage included. */
export function upstreamMetrics(metrics: Metrics): UpstreamMetrics {
  const tallies = new Map<string, Tally>()
  const durations = new Histogram({
    name: `${PREFIX}upstream_request_duration_seconds`,
    help: 'From a request to an upstream or its storage (GetObject) to the headers of the answer.',
    labelNames: ['upstream', 'operation'],
    buckets: DURATIONS,
    registers: [metrics],
  })

  function tallyOf(name: string): Tally {
    const known = tallies.get(name)
    if (known) return known
    const retries = new Map(RETRY_REASONS.map(reason => [reason, 0]))
    const tally: Tally = { live: true, requests: new Map(), retries, received: 0, sent: 0 }
    tallies.set(name, tally)
    return tally
  }

  const each = function* (of: (tally: Tally) => Iterable<Sample>): Iterable<Sample> {
    for (const [upstream, tally] of tallies)
      for (const [labels, value] of of(tally)) yield [{ upstream, ...labels }, value]
  }
  counter(metrics, {
    name: 'upstream_requests_total',
    help: 'Requests to upstreams and their storage (GetObject) by the status of the answer, or why there was none.',
    labels: ['upstream', 'operation', 'code'],
    read: () =>
      each(function* ({ requests }) {
        for (const [operation, outcomes] of requests)
          for (const [outcome, count] of outcomes) yield [{ operation, code: String(outcome) }, count]
      }),
  })
  counter(metrics, {
    name: 'upstream_retries_total',
    help: 'Requests that were sent again.',
    labels: ['upstream', 'reason'],
    read: () => each(({ retries }) => Array.from(retries, ([reason, count]) => [{ reason }, count])),
  })
  counter(metrics, {
    name: 'upstream_received_bytes_total',
    help: 'Bytes of bodies that came from upstreams and their storage.',
    labels: ['upstream'],
    read: () => each(({ received }) => [[{}, received]]),
  })
  counter(metrics, {
    name: 'upstream_sent_bytes_total',
    help: 'Bytes of bodies that went to upstreams.',
    labels: ['upstream'],
    read: () => each(({ sent }) => [[{}, sent]]),
  })

  return {
    observer(name) {
      const tally = tallyOf(name)
      return {
        began(operation) {
          const at = performance.now()
          return outcome => {
            if (!tally.live) return
            const outcomes = tally.requests.get(operation) ?? new Map<RequestOutcome, number>()
            tally.requests.set(operation, outcomes)
            outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
            durations.observe({ upstream: name, operation }, (performance.now() - at) / 1000)
          }
        },
        retried: reason => void tally.retries.set(reason, (tally.retries.get(reason) ?? 0) + 1),
        received: bytes => void (tally.received += bytes),
        sent: bytes => void (tally.sent += bytes),
      }
    },
    keep(names) {
      for (const [upstream, tally] of tallies) {
        if (names.includes(upstream)) continue
        tallies.delete(upstream)
        tally.live = false
        for (const operation of tally.requests.keys()) durations.remove({ upstream, operation })
      }
    },
  }
}
