import type { Needed } from './installed.js'
import type { ServerName } from './servers/server.js'
import type { Stage } from './stage.js'

/** What the mirror has to reach, at the median. */
export type Bar = {
  /** What stands in the way, where that is known: it is said where the bar is missed. */
  readonly hurdle?: string
} &
  /** A multiple of what another server has: at most, or at least that. */
  (
    | { readonly against: ServerName; readonly atMost: number }
    | { readonly against: ServerName; readonly atLeast: number }
    /** So much more than what another one has. */
    | { readonly over: ServerName; readonly atMost: number }
    /** In the row's unit. */
    | { readonly atMost: number }
  )

/** One line of the table: a figure of every server, once for each round. */
export interface Row {
  readonly name: string
  readonly unit: string
  readonly samples: Partial<Record<ServerName, readonly number[]>>
  readonly bars: readonly Bar[]
}

export interface Case {
  /** As it is chosen by. */
  readonly name: string
  readonly title: string
  /** Whose figures it has. */
  readonly servers: readonly ServerName[]
  /** What it cannot do without, besides the servers' own commands. */
  readonly needs?: Needed
  run(stage: Stage): Promise<Row[]>
}
