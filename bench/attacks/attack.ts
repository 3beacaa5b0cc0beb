import type { MirrorSettings } from './mirror.js'
import type { Stage } from './stage.js'

/** What an attack tells of itself besides what the bystander has seen. */
export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** The bar; left out where there is none. */
  readonly atMost?: number
}

/** An attack that goes on until the signal aborts, or ends before. It rejects for nothing that the mirror does. */
export type Run = (signal: AbortSignal) => Promise<readonly Figure[]>

export interface Attack {
  /** As it is chosen by. */
  readonly name: string
  readonly title: string
  /** What of the mirror's configuration is not its default. */
  readonly settings?: MirrorSettings
  /** How long it goes on at most, in seconds. */
  readonly seconds: number
  /** Puts up what it needs, before anything is measured. */
  prepare(stage: Stage): Promise<Run>
}
