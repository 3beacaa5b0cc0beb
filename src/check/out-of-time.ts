/** A check did not end within its time. */
export class OutOfTime extends Error {
  override readonly name = 'OutOfTime'

  /** `limit` in milliseconds. */
  constructor(limit: number) {
    super(`no answer within ${limit / 1000} s`)
  }
}
