/** What went through the mirror in some time; sizes in bytes. */
export interface Traffic {
  readonly requests: number
  /** Pulls that were answered without the upstream having to send the content for them. */
  readonly hits: number
  /** Pulls for which it had to. */
  readonly misses: number
  /** Answers of 500 and above. */
  readonly errors: number
  /** Content in answers to pulls that were complete. */
  readonly served: number
  /** Content taken from upstreams for pulls. */
  readonly fetched: number
}

export const NO_TRAFFIC: Traffic = { requests: 0, hits: 0, misses: 0, errors: 0, served: 0, fetched: 0 }

const MINUTE = 60_000
/** How far it goes back, in minutes. */
export const KEPT = 24 * 60

interface Bucket {
  readonly minute: number
  traffic: Traffic
}

/** The traffic of the last 24 hours, by the minute, however much of it there is. */
export class Minutes {
  readonly #now: () => number
  readonly #ring: (Bucket | undefined)[] = Array<undefined>(KEPT).fill(undefined)
  /** In milliseconds since 1970. */
  readonly since: number

  /** `now` gives milliseconds since 1970. */
  constructor(now: () => number) {
    this.#now = now
    this.since = now()
  }

  add(more: Partial<Traffic>): void {
    const minute = this.#minute()
    const bucket = this.#at(minute)
    if (bucket) bucket.traffic = sum(bucket.traffic, more)
    else this.#ring[minute % KEPT] = { minute, traffic: sum(NO_TRAFFIC, more) }
  }

  /** Of the last so many minutes, of which the present one is the last. */
  last(minutes: number): Traffic {
    return this.#between(this.#minute() - minutes + 1, this.#minute())
  }

  /** The last 24 hours in `columns` parts of equal length, the oldest first. */
  columns(columns: number): Traffic[] {
    const width = KEPT / columns
    const first = this.#minute() - KEPT + 1
    return Array.from({ length: columns }, (_, index) =>
      this.#between(first + index * width, first + (index + 1) * width - 1),
    )
  }

  #between(first: number, last: number): Traffic {
    let traffic = NO_TRAFFIC
    for (let minute = first; minute <= last; minute++) {
      const bucket = this.#at(minute)
      if (bucket) traffic = sum(traffic, bucket.traffic)
    }
    return traffic
  }

  #at(minute: number): Bucket | undefined {
    const bucket = this.#ring[minute % KEPT]
    return bucket?.minute === minute ? bucket : undefined
  }

  #minute(): number {
    return Math.floor(this.#now() / MINUTE)
  }
}

function sum(a: Traffic, b: Partial<Traffic>): Traffic {
  return {
    requests: a.requests + (b.requests ?? 0),
    hits: a.hits + (b.hits ?? 0),
    misses: a.misses + (b.misses ?? 0),
    errors: a.errors + (b.errors ?? 0),
    served: a.served + (b.served ?? 0),
    fetched: a.fetched + (b.fetched ?? 0),
  }
}
