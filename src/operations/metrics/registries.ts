import type { TokenState } from '../../upstream/ecr-token.js'
import { TOKEN_PROBLEMS, type TokenProblem } from '../../upstream/token-problem.js'
import type { Metrics } from '../metrics.js'
import { counter, gauge, type Sample } from './read.js'

/** How one upstream is now. */
export interface UpstreamState {
  readonly name: string
  readonly token: TokenState
  /** For how long it has not answered, in milliseconds; undefined while it answers. */
  readonly awayFor: number | undefined
  /** Requests that wait for their turn within its quotas. */
  readonly throttled: number
}

/** How the upstreams of now are: their tokens, and whether they answer. */
export function upstreamStateMetrics(metrics: Metrics, states: () => readonly UpstreamState[]): void {
  const each = (name: string, help: string, of: (state: UpstreamState) => number | undefined): void =>
    gauge(metrics, {
      name,
      help,
      labels: ['upstream'],
      read: () =>
        states().flatMap((state): Sample[] => {
          const value = of(state)
          return value === undefined ? [] : [[{ upstream: state.name }, value]]
        }),
    })
  each('ecr_token_usable', 'Whether there is a token that is valid as far as is known.', ({ token }) =>
    Number(token.usable),
  )
  each(
    'ecr_token_expiry_timestamp_seconds',
    'When the token expires, in seconds since 1970.',
    ({ token: { expiresIn } }) => expiresIn && (Date.now() + expiresIn) / 1000,
  )
  each(
    'ecr_token_age_seconds',
    'How long ago the token was obtained.',
    ({ token: { age } }) => age && age / 1000,
  )
  each(
    'upstream_away_seconds',
    'For how long the upstream has not answered; 0 while it does.',
    ({ awayFor = 0 }) => awayFor / 1000,
  )
  each(
    'upstream_throttled_requests',
    "Requests that wait for their turn within the quotas of the upstream's host.",
    ({ throttled }) => throttled,
  )
}

/** Counts calls for tokens; those of several upstreams that share a token are one. Gives what is to be told of each. */
export function tokenMetrics(metrics: Metrics): (result: 'ok' | TokenProblem) => void {
  const results = new Map<string, number>(['ok', ...TOKEN_PROBLEMS].map(result => [result, 0]))
  counter(metrics, {
    name: 'ecr_token_refreshes_total',
    help: 'Calls for a token by what came of them.',
    labels: ['result'],
    read: () => Array.from(results, ([result, count]) => [{ result }, count]),
  })
  return result => void results.set(result, (results.get(result) ?? 0) + 1)
}
