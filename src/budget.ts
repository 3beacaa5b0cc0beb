/** So many of something at a time. What would be more is refused, and counted. */
export class Budget {
  #inUse = 0
  #refusals = 0

  constructor(readonly limit: number) {}

  get inUse(): number {
    return this.#inUse
  }

  /** How often something was refused since the start. */
  get refusals(): number {
    return this.#refusals
  }

  /** Whether so many are left of a share of all. */
  fits(amount = 1, share = 1): boolean {
    return this.#inUse + amount <= Math.ceil(this.limit * share)
  }

  /** Takes so many, to be given back. False, with nothing taken, when that is more than is left of a share of all. */
  take(amount = 1, share = 1): boolean {
    const fits = this.fits(amount, share)
    if (fits) this.#inUse += amount
    else this.#refusals++
    return fits
  }

  giveBack(amount = 1): void {
    this.#inUse -= amount
  }

  /** Counts what somebody else found to be too much. */
  refuse(): false {
    this.#refusals++
    return false
  }
}
