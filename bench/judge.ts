import type { Bar, Row } from './case.js'
import type { ServerName } from './servers/server.js'
import { median } from './statistics.js'

/** What became of a bar. */
export interface Verdict {
  readonly bar: Bar
  /** What the bar speaks of: a ratio, a difference, or the figure itself. */
  readonly value: number
  readonly met: boolean
}

export function medianOf({ samples }: Row, server: ServerName): number | undefined {
  const all = samples[server]
  return all && median(all)
}

/** Undefined where the mirror or who it is held against did not run. */
export function judge(row: Row, bar: Bar): Verdict | undefined {
  const mine = medianOf(row, 'mirror')
  const theirs = 'against' in bar ? medianOf(row, bar.against) : 'over' in bar ? medianOf(row, bar.over) : 0
  if (mine === undefined || theirs === undefined) return undefined
  const value = 'against' in bar ? mine / theirs : mine - theirs
  return { bar, value, met: 'atLeast' in bar ? value >= bar.atLeast : value <= bar.atMost }
}
