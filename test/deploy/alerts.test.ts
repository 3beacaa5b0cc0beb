import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { stringify } from 'yaml'
import { runClient } from '../clients/support/run-client.js'
import { scratch } from '../clients/support/scratch.js'
import { ALERTS_FILE, readAlerts } from './support/alerts.js'
import { needsPrometheus } from './support/prometheus.js'

/** What promtool reads as a time series with one number for each interval: `1+2x3` is 1 3 5 7, `5x3` is 5 5 5 5. */
type Series = Readonly<Record<string, string>>

interface Case {
  /** What raises it by `at`. */
  readonly raises: Series
  /** What does not, though it is near. */
  readonly doesNot: Series
  readonly at: string
  /** The interval, which is also how often rules are looked at; a minute when left out. */
  readonly every?: '10m'
}

const ON = 'job="m",instance="i"'
const metric = (name: string, labels = ''): string =>
  `ecr_mirror_${name}{${labels === '' ? ON : `${ON},${labels}`}}`
const BUILD = { [metric('build_info', 'version="1",node="v24"')]: '1x2000' }
const steady = (value: number): string => `${value}x2000`
const growing = (by: number): string => `0+${by}x2000`

const TOKEN_EXPIRY = metric('ecr_token_expiry_timestamp_seconds', 'upstream="main"')
const TOKEN_AGE = metric('ecr_token_age_seconds', 'upstream="main"')
const served = (hits: string, misses: string): Series => ({
  [metric('cache_requests_total', 'type="blob",result="hit"')]: hits,
  [metric('cache_requests_total', 'type="blob",result="miss"')]: misses,
})
const firstBytes = (fast: number): Series => ({
  [metric('http_first_byte_seconds_bucket', 'type="blob",result="hit",le="0.1"')]: growing(fast),
  [metric('http_first_byte_seconds_bucket', 'type="blob",result="hit",le="5"')]: growing(100),
  [metric('http_first_byte_seconds_bucket', 'type="blob",result="hit",le="+Inf"')]: growing(100),
})
const upstreamRequests = (failed: number): Series => ({
  [metric('upstream_requests_total', 'upstream="main",operation="GetObject",code="206"')]: growing(100),
  [metric('upstream_requests_total', 'upstream="main",operation="GetObject",code="timeout"')]:
    growing(failed),
  [metric('upstream_requests_total', 'upstream="main",operation="GetObject",code="aborted"')]: growing(100),
})
const requests = (failed: number): Series => ({
  [metric('http_requests_total', 'method="GET",route="blob",code="200"')]: growing(100),
  [metric('http_requests_total', 'method="GET",route="blob",code="404"')]: growing(100),
  [metric('http_requests_total', 'method="GET",route="blob",code="502"')]: growing(failed),
})

/** By alert. */
const CASES: Readonly<Record<string, Case>> = {
  EcrMirrorDown: {
    raises: { [metric('build_info', 'version="1"')]: '1x10 _x2000', [`up{${ON}}`]: '1x10 0x2000' },
    doesNot: { ...BUILD, [`up{${ON}}`]: steady(1), 'up{job="other",instance="j"}': steady(0) },
    at: '20m',
  },
  EcrMirrorRestarts: {
    raises: { ...BUILD, [`process_start_time_seconds{${ON}}`]: '100x30 200x5 300x5 400x5 500x20' },
    doesNot: { ...BUILD, [`process_start_time_seconds{${ON}}`]: '100x30 200x40' },
    at: '60m',
  },
  EcrMirrorNoToken: {
    raises: { [metric('ecr_token_usable', 'upstream="main"')]: steady(0) },
    doesNot: { [metric('ecr_token_usable', 'upstream="main"')]: '0x1 1x2000' },
    at: '10m',
  },
  EcrMirrorTokenNotRenewed: {
    raises: { [TOKEN_EXPIRY]: steady(43_200), [TOKEN_AGE]: growing(600) },
    // Renewed after four fifths of its life.
    doesNot: { [TOKEN_EXPIRY]: '43200x57 78000x50', [TOKEN_AGE]: '0+600x57 0+600x50' },
    at: '11h',
    every: '10m',
  },
  EcrMirrorTokenCallsFail: {
    raises: { [metric('ecr_token_refreshes_total', 'result="denied"')]: growing(1) },
    doesNot: {
      [metric('ecr_token_refreshes_total', 'result="denied"')]: '0x20 1x2000',
      [metric('ecr_token_refreshes_total', 'result="ok"')]: growing(1),
    },
    at: '30m',
  },
  EcrMirrorUpstreamAway: {
    raises: { [metric('upstream_away_seconds', 'upstream="main"')]: '0x5 0+60x100' },
    doesNot: { [metric('upstream_away_seconds', 'upstream="main"')]: '0 60 0 60 0x100' },
    at: '12m',
  },
  EcrMirrorUpstreamErrors: { raises: upstreamRequests(30), doesNot: upstreamRequests(5), at: '1h' },
  EcrMirrorThrottled: {
    raises: { [metric('upstream_retries_total', 'upstream="main",reason="throttled"')]: growing(20) },
    doesNot: {
      [metric('upstream_retries_total', 'upstream="main",reason="throttled"')]: growing(1),
      [metric('upstream_retries_total', 'upstream="main",reason="server_error"')]: growing(20),
      [metric('upstream_throttled_requests', 'upstream="main"')]: steady(3),
    },
    at: '1h',
  },
  EcrMirrorErrors: { raises: requests(20), doesNot: requests(5), at: '1h' },
  EcrMirrorSlow: { raises: firstBytes(80), doesNot: firstBytes(99), at: '1h' },
  EcrMirrorSheds: {
    raises: { [metric('budget_refusals_total', 'budget="requests"')]: growing(1) },
    doesNot: {
      [metric('budget_refusals_total', 'budget="requests"')]: '0x20 1x2000',
      // A client's own doing.
      [metric('budget_refusals_total', 'budget="idle_time"')]: growing(1),
    },
    at: '1h',
  },
  EcrMirrorLoginsRefused: {
    raises: { [metric('auth_attempts_total', 'result="bad"')]: growing(100) },
    doesNot: {
      [metric('auth_attempts_total', 'result="bad"')]: growing(10),
      [metric('auth_attempts_total', 'result="missing"')]: growing(100),
    },
    at: '1h',
  },
  EcrMirrorHitRateCollapsed: {
    raises: served('0+900x120 108000+100x80', '0+100x120 12000+900x80'),
    doesNot: served('0+900x120 108000+600x80', '0+100x120 12000+400x80'),
    at: '1260m',
    every: '10m',
  },
  EcrMirrorWorkingSetTooLarge: {
    raises: {
      [metric('cache_evicted_bytes_total')]: growing(100),
      [metric('cache_max_bytes')]: steady(10_000),
    },
    doesNot: {
      [metric('cache_evicted_bytes_total')]: growing(50),
      [metric('cache_max_bytes')]: steady(10_000),
    },
    at: '25h',
    every: '10m',
  },
  EcrMirrorCacheSqueezed: {
    raises: {
      [metric('cache_evictions_total')]: growing(1),
      [metric('cache_size_bytes')]: steady(50),
      [metric('cache_max_bytes')]: steady(100),
    },
    doesNot: {
      [metric('cache_evictions_total')]: growing(1),
      [metric('cache_size_bytes')]: steady(95),
      [metric('cache_max_bytes')]: steady(100),
    },
    at: '2h',
  },
  EcrMirrorCacheNotWritten: {
    raises: { [metric('cache_write_paused')]: steady(1) },
    doesNot: {
      [metric('cache_write_paused')]: '0 1 0 1 0x2000',
      [metric('cache_write_errors_total')]: '0x20 1x2000',
    },
    at: '30m',
  },
  EcrMirrorCacheNotRead: {
    raises: { [metric('cache_read_errors_total')]: '0x20 1x2000' },
    doesNot: { [metric('cache_read_errors_total')]: steady(1) },
    at: '25m',
  },
  EcrMirrorIntegrityFailure: {
    raises: { [metric('cache_integrity_failures_total', 'where="store"')]: '0x20 1x2000' },
    doesNot: { [metric('cache_integrity_failures_total', 'where="store"')]: steady(1) },
    at: '30m',
  },
  EcrMirrorReloadFailed: {
    raises: { [metric('config_last_reload_successful')]: '1x5 0x2000' },
    doesNot: { [metric('config_last_reload_successful')]: steady(1) },
    at: '10m',
  },
  EcrMirrorEventLoopLags: {
    raises: { ...BUILD, [`nodejs_eventloop_lag_p99_seconds{${ON}}`]: steady(0.6) },
    // Another program's.
    doesNot: {
      ...BUILD,
      [`nodejs_eventloop_lag_p99_seconds{${ON}}`]: steady(0.02),
      'nodejs_eventloop_lag_p99_seconds{job="other",instance="j"}': steady(0.6),
    },
    at: '10m',
  },
  EcrMirrorFilesRunOut: {
    raises: { ...BUILD, [`process_open_fds{${ON}}`]: steady(90), [`process_max_fds{${ON}}`]: steady(100) },
    doesNot: { ...BUILD, [`process_open_fds{${ON}}`]: steady(50), [`process_max_fds{${ON}}`]: steady(100) },
    at: '10m',
  },
  EcrMirrorAuditLinesLost: {
    raises: { [metric('audit_lines_lost_total')]: '0x20 3x2000', [metric('audit_failing')]: steady(0) },
    doesNot: { [metric('audit_lines_lost_total')]: steady(3), [metric('audit_failing')]: steady(0) },
    at: '25m',
  },
}

t.test('every alert says what to do, and has a case that raises it and one that does not', async t => {
  t.same((await readAlerts()).map(({ alert }) => alert).sort(), Object.keys(CASES).sort())
})

t.test(
  'promtool finds the rules right, and each alert comes when it should and only then',
  needsPrometheus(),
  async t => {
    const checked = await runClient('promtool', ['check', 'rules', ALERTS_FILE])
    t.equal(checked.code, 0, checked.output)

    const firing = (alert: string): string =>
      `count(ALERTS{alertname="${alert}", alertstate="firing"}) or vector(0)`
    const test = (alert: string, series: Series, { at, every }: Case, count: number) => ({
      name: `${alert} ${count}`,
      interval: every ?? '1m',
      input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
      promql_expr_test: [
        { expr: firing(alert), eval_time: at, exp_samples: [{ labels: '{}', value: count }] },
      ],
    })
    const directory = await scratch(t)
    for (const every of [undefined, '10m'] as const) {
      const cases = Object.entries(CASES).filter(([, each]) => each.every === every)
      const file = join(directory, `tests-${every ?? '1m'}.yaml`)
      await writeFile(
        file,
        stringify({
          rule_files: [ALERTS_FILE],
          evaluation_interval: every ?? '1m',
          tests: cases.flatMap(([alert, each]) => [
            test(alert, each.raises, each, 1),
            test(alert, each.doesNot, each, 0),
          ]),
        }),
      )
      const tested = await runClient('promtool', ['test', 'rules', file])
      t.equal(tested.code, 0, tested.output)
    }
  },
)
