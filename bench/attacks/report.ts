import { ownMs, type ExplainedStall } from '../../test/stalls/attribute.js'
import { quantile } from '../logins/at-rate.js'
import { median } from '../statistics.js'
import type { Figure } from './attack.js'
import type { Seen } from './bystander-order.js'

/** All that was found of one attack. */
export interface AttackReport {
  readonly name: string
  readonly title: string
  readonly seen: Seen
  readonly figures: readonly Figure[]
  /** The longest first. */
  readonly stalls: readonly ExplainedStall[]
  /**
   * The largest value of `monitorEventLoopDelay` in the mirror, in milliseconds; of a loop that still turns. Undefined where
   * the mirror told nothing, because it had ended.
   */
  readonly loopDelay: number | undefined
  /** Whether the mirror ended at SIGTERM, and need not be killed. */
  readonly endedItself: boolean
}

/** What a bystander may notice of any attack. */
export const BARS = { medianMs: 100, worstMs: 1_000, stallMs: 200 } as const

/** What was missed, in words; empty when every bar is met. */
export function missed(report: AttackReport): string[] {
  const { seen, figures, stalls, loopDelay, endedItself } = report
  const failures = Object.entries(seen.failures).map(([what, count]) => `${what}: ${count}`)
  const bars: readonly (readonly [name: string, value: number, atMost: number, unit: string])[] = [
    ['median', median(seen.times), BARS.medianMs, 'ms'],
    ['worst', Math.max(0, ...seen.times), BARS.worstMs, 'ms'],
    ['stall', Math.max(0, ...stalls.map(ownMs)), BARS.stallMs, 'ms'],
    ...figures.flatMap(({ name, value, unit, atMost }) =>
      atMost === undefined ? [] : [[name, value, atMost, unit] as const],
    ),
  ]
  return [
    ...(failures.length > 0 ? [`failures (${failures.join(', ')})`] : []),
    ...bars
      .filter(([, value, atMost]) => !(value <= atMost))
      .map(([name, value, atMost, unit]) =>
        `${name} ${whole(value)} of at most ${whole(atMost)} ${unit}`.trim(),
      ),
    ...(loopDelay === undefined ? ['the mirror did not last'] : []),
    ...(endedItself ? [] : ['SIGTERM did not end it']),
  ]
}

export const HEADER = [
  '| attack | requests | failed | median ms | p99 ms | worst ms | worst stall ms | |',
  '|---|--:|--:|--:|--:|--:|--:|---|',
].join('\n')

/** A line of the table. */
export function lineOf(report: AttackReport): string {
  const { name, title, seen, stalls } = report
  const failed = Object.values(seen.failures).reduce((sum, count) => sum + count, 0)
  const wrong = missed(report)
  const cells = [
    `${name}: ${title}`,
    seen.times.length,
    failed,
    whole(median(seen.times)),
    whole(quantile(seen.times, 0.99)),
    whole(Math.max(0, ...seen.times)),
    whole(Math.max(0, ...stalls.map(ownMs))),
    wrong.length === 0 ? 'ok' : `**missed**: ${wrong.join('; ')}`,
  ]
  return `| ${cells.join(' | ')} |`
}

/** The longest stalls with their causes, and what the attack found besides, as a list. */
export function notesOf({ name, figures, stalls, seen }: AttackReport, count = 3): string[] {
  const worst = stalls.toSorted((one, other) => ownMs(other) - ownMs(one)).slice(0, count)
  const caches = Object.entries(seen.caches).map(([cache, times]) => `${times} ${cache}`)
  return [
    `* ${name}: the bystander's X-Cache: ${caches.join(', ') || 'none'}`,
    ...figures.map(figure => `* ${name}: ${figure.name}: ${whole(figure.value)} ${figure.unit}`.trimEnd()),
    ...worst.map(stall => {
      const waited = stall.waitedMs >= 1 ? ` and ${whole(stall.waitedMs)} ms waiting for a CPU` : ''
      const last = stall.requests.at(-1)?.slice(0, 100)
      return `* ${name}: stall of ${whole(ownMs(stall))} ms${waited}: ${stall.cause}${last === undefined ? '' : `; last request \`${last}\``}`
    }),
  ]
}

function whole(value: number): string {
  return String(Math.round(value))
}
