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

type Sum = { -readonly [Key in keyof Traffic]: Traffic[Key] }

interface Bucket {
  readonly minute: number
  readonly traffic: Sum
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
    const bucket = this.#at(minute) ?? { minute, traffic: { ...NO_TRAFFIC } }
    this.#ring[minute % KEPT] = bucket
    addTo(bucket.traffic, more)
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
    const traffic = { ...NO_TRAFFIC }
    for (let minute = first; minute <= last; minute++) {
      const bucket = this.#at(minute)
      if (bucket) addTo(traffic, bucket.traffic)
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

function addTo(sum: Sum, more: Partial<Traffic>): void {
  sum.requests += more.requests ?? 0
  sum.hits += more.hits ?? 0
  sum.misses += more.misses ?? 0
  sum.errors += more.errors ?? 0
  sum.served += more.served ?? 0
  sum.fetched += more.fetched ?? 0
}
