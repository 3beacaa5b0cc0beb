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

/** What went wrong last; the same thing again is counted, so that it does not drown the others. */
export class RecentErrors {
  readonly #max: number
  #errors: RecentError[] = []

  constructor(max = 50) {
    this.#max = max
  }

  add(trouble: Trouble, at: number): void {
    const same = this.#errors.find(each => keyOf(each) === keyOf(trouble))
    const others = this.#errors.filter(each => each !== same)
    this.#errors = [{ ...trouble, at, times: (same?.times ?? 0) + 1 }, ...others].slice(0, this.#max)
  }

  /** The newest first. */
  get all(): readonly RecentError[] {
    return this.#errors
  }
}

function keyOf({ what, text, upstream, places, user }: Trouble): string {
  return JSON.stringify([what, text, upstream, places, user])
}
