import type { NamedPlace } from './place.js'

/** Something that went wrong, as it may be shown to those who may see what it was about. */
export interface Trouble {
  /** Without any name or text from outside, such as `GET manifest, 502`. */
  readonly what: string
  /** As it was told to the client or to the log. */
  readonly text?: string | undefined
  /** The name of an upstream. */
  readonly upstream?: string | undefined
  readonly places?: readonly NamedPlace[] | undefined
  readonly user?: string | undefined
}

export interface RecentError extends Trouble {
  /** When last, in milliseconds since 1970. */
  readonly at: number
  /** How often, for as long as it has been among the last. */
  readonly times: number
}

/** Of a text that is kept, in characters. */
const LONGEST = 500

/** What went wrong last; the same thing again is counted, so that it does not drown the others. */
export class RecentErrors {
  readonly #max: number
  /** By what they are, the newest last. */
  readonly #errors = new Map<string, RecentError>()

  constructor(max = 50) {
    this.#max = max
  }

  add({ text, ...trouble }: Trouble, at: number): void {
    const key = JSON.stringify([trouble.what, text, trouble.upstream, trouble.places, trouble.user])
    const times = (this.#errors.get(key)?.times ?? 0) + 1
    this.#errors.delete(key)
    this.#errors.set(key, { ...trouble, text: text?.slice(0, LONGEST), at, times })
    for (const oldest of this.#errors.keys()) {
      if (this.#errors.size <= this.#max) break
      this.#errors.delete(oldest)
    }
  }

  /** The newest first. */
  get all(): readonly RecentError[] {
    return [...this.#errors.values()].reverse()
  }
}
