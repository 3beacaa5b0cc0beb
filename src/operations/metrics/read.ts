import { Counter, Gauge } from '@prometheus-io/client'
import type { Metrics } from '../metrics.js'

export type Labels = Readonly<Record<string, string>>

/** A number, and which of its name it is. */
export type Sample = readonly [labels: Labels, value: number]

type Reading = number | undefined | Iterable<Sample>

/** Numbers of one name that are looked up whenever somebody asks for them, so that keeping them costs nothing. */
export interface Read {
  /** Without the program's name in front. */
  readonly name: string
  readonly help: string
  /** The names of the labels; their values come from closed sets, never from what clients write. */
  readonly labels?: readonly string[]
  /** One number, or one for each set of labels; undefined where there is nothing to tell. */
  readonly read: () => Reading | Promise<Reading>
}

export const PREFIX = 'ecr_mirror_'

/** What goes up and down. */
export function gauge(metrics: Metrics, told: Read): void {
  new Gauge({
    ...described(metrics, told),
    async collect() {
      const samples = samplesOf(await told.read())
      this.reset()
      if (!told.labels && samples.length === 0) this.remove({})
      for (const [of, value] of samples) this.set({ ...of }, value)
    },
  })
}

/** What only goes up; of samples with the same labels the sum is told. */
export function counter(metrics: Metrics, told: Read): void {
  new Counter({
    ...described(metrics, told),
    async collect() {
      const samples = samplesOf(await told.read())
      this.reset()
      for (const [of, value] of samples) this.inc({ ...of }, value)
    },
  })
}

function described(metrics: Metrics, { name, help, labels = [] }: Read) {
  return { name: PREFIX + name, help, labelNames: [...labels], registers: [metrics] }
}

function samplesOf(reading: Reading): readonly Sample[] {
  if (reading === undefined) return []
  return typeof reading === 'number' ? [[{}, reading]] : [...reading]
}
