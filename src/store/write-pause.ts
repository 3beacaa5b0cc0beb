/** Lets the disk alone for a while after it failed, so that each blob in turn does not run into the same trouble. */
export class WritePause {
  #code: string | undefined
  #since = 0

  /** `now` gives milliseconds; `length` is in them. A clock that is set back ends the pause. */
  constructor(
    private readonly length: number,
    private readonly now: () => number,
  ) {}

  /** The code of the trouble, as long as writing pauses for it. */
  get reason(): string | undefined {
    const age = this.now() - this.#since
    return age >= 0 && age < this.length ? this.#code : undefined
  }

  /** Begins the pause; false when one goes on already. */
  begin(code: string): boolean {
    if (this.reason !== undefined) return false
    this.#code = code
    this.#since = this.now()
    return true
  }

  /** Says that writing worked; true when it had not before. */
  end(): boolean {
    const ended = this.#code !== undefined && this.reason === undefined
    if (ended) this.#code = undefined
    return ended
  }
}
