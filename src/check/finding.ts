/** What one check came to. `skipped` is not tried, and `warning` keeps nothing from working today. */
export type Result = 'ok' | 'failed' | 'warning' | 'skipped'

/** One line of the report. */
export interface Finding {
  /** What was looked at, such as `token of main`. */
  readonly name: string
  readonly result: Result
  /** What was seen; of a skipped one, why it was not tried. */
  readonly detail: string
  /** What to do about it. */
  readonly advice?: string
}

export function ok(name: string, detail: string): Finding {
  return { name, result: 'ok', detail }
}

export function failed(name: string, detail: string, advice: string): Finding {
  return { name, result: 'failed', detail, advice }
}

export function warning(name: string, detail: string, advice: string): Finding {
  return { name, result: 'warning', detail, advice }
}

export function skipped(name: string, why: string): Finding {
  return { name, result: 'skipped', detail: `not tried: ${why}` }
}

/** What was found, and what later checks build on; `value` is undefined when there is nothing to build on. */
export interface Outcome<T> {
  readonly findings: readonly Finding[]
  readonly value: T | undefined
}
