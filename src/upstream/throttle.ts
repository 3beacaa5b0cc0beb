import { OciError } from '../oci/error.js'
import type { Clock } from './ecr-token.js'
import { retryAfterOf } from './retry-after.js'
import type { EcrAction } from './ecr-action.js'
import type { EcrHost } from './ecr-host.js'
import type { Send } from './send.js'

/** Requests per second for each action; an action without one is not held back. */
export type Quotas = Partial<Readonly<Record<EcrAction, number>>>

/**
 * AWS: "Amazon ECR service quotas", the default rates of each account in each region, and "Amazon ECR Public service
 * quotas", whose rate of pulls is that of who logs in.
 */
export const DEFAULT_QUOTAS: Readonly<Record<EcrHost['kind'], Quotas>> = {
  private: {
    BatchCheckLayerAvailability: 1000,
    BatchGetImage: 2000,
    GetDownloadUrlForLayer: 3000,
    InitiateLayerUpload: 100,
    UploadLayerPart: 500,
    CompleteLayerUpload: 100,
    PutImage: 10,
  },
  public: {
    BatchGetImage: 10,
    InitiateLayerUpload: 10,
    CompleteLayerUpload: 10,
    PutImage: 10,
  },
}

/** How long an action rests after a 429 that does not say, and at most, in milliseconds. */
const REST = 500
const LONGEST_REST = 10_000

/** Holds requests back to a registry's quotas. */
export interface Throttles {
  /** The step for a registry's host; upstreams with the same host share its quotas, and the last one told counts. */
  of(host: string, quotas?: Quotas, defaults?: Quotas): (send: Send) => Send
  /** Requests to a registry's host that wait for their turn. */
  waiting(host: string): number
}

export function createThrottles(clock: Clock = performance): Throttles {
  const registries = new Map<string, Map<EcrAction, Bucket>>()

  function bucketsOf(host: string, quotas: Quotas): ReadonlyMap<EcrAction, Bucket> {
    const buckets = registries.get(host) ?? new Map<EcrAction, Bucket>()
    registries.set(host, buckets)
    for (const [action, rate] of entriesOf(quotas)) {
      const bucket = buckets.get(action)
      if (bucket) bucket.setRate(rate)
      else buckets.set(action, new Bucket(action, rate, clock))
    }
    return buckets
  }

  return {
    of(host, quotas = {}, defaults = DEFAULT_QUOTAS.private) {
      const known = registries.has(host)
      const buckets = bucketsOf(host, known ? quotas : { ...defaults, ...quotas })
      return send => async request => {
        const bucket = buckets.get(request.action)
        if (!bucket) return send(request)
        const waitedFrom = clock.now()
        await bucket.take(request.patience, request.signal)
        const patience = Math.max(0, request.patience - (clock.now() - waitedFrom))
        const answer = await send({ ...request, patience })
        if (answer.statusCode === 429)
          bucket.rest(Math.min(retryAfterOf(answer.headers) ?? REST, LONGEST_REST))
        return answer
      }
    },
    waiting: host =>
      Array.from(registries.get(host)?.values() ?? [], bucket => bucket.waiting).reduce(
        (sum, waiting) => sum + waiting,
        0,
      ),
  }
}

function entriesOf(quotas: Quotas): [EcrAction, number][] {
  return (Object.entries(quotas) as [EcrAction, number | undefined][]).flatMap(([action, rate]) =>
    rate !== undefined && rate > 0 ? [[action, rate]] : [],
  )
}

/** So that a turn that comes in the last moment is not lost to the timer of patience, in milliseconds. */
const TIMER_SLACK = 50

/** A token bucket that holds one second's worth, with a first-in, first-out queue before it. */
class Bucket {
  readonly #action: EcrAction
  readonly #clock: Clock
  /** What lets each one through, in order of arrival. */
  readonly #waiters = new Set<() => void>()
  #rate: number
  #tokens: number
  /** When #tokens was right; in the future while the bucket rests. */
  #countedAt: number
  #wake: NodeJS.Timeout | undefined

  constructor(action: EcrAction, rate: number, clock: Clock) {
    this.#action = action
    this.#clock = clock
    this.#rate = rate
    this.#tokens = this.#capacity()
    this.#countedAt = clock.now()
  }

  /** How many wait for their turn. */
  get waiting(): number {
    return this.#waiters.size
  }

  setRate(rate: number): void {
    this.#refill()
    this.#rate = rate
    this.#tokens = Math.min(this.#tokens, this.#capacity())
    this.#admit()
  }

  /** Takes a turn; throws an OciError (429) when it cannot come within `patience` milliseconds, if those are finite. */
  async take(patience: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#refill()
    if (this.#waiters.size === 0 && this.#tokens >= 1) {
      this.#tokens -= 1
      return
    }
    if (this.#waitBehind(this.#waiters.size) > patience) throw this.#refusal()
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        this.#waiters.delete(admit)
        clearTimeout(timer)
        signal.removeEventListener('abort', abort)
      }
      const admit = (): void => {
        leave()
        resolve()
      }
      const abort = (): void => {
        leave()
        reject(signal.reason as Error)
      }
      // A rest that began later may have made the wait longer than it looked.
      const timer = Number.isFinite(patience)
        ? setTimeout(() => {
            leave()
            reject(this.#refusal())
          }, patience + TIMER_SLACK)
        : undefined
      signal.addEventListener('abort', abort, { once: true })
      this.#waiters.add(admit)
      // Never at once: who comes next must not overtake one who was just let through.
      if (this.#waiters.size === 1) this.#admitLater()
    })
  }

  /** Lets nobody through for `ms` milliseconds. */
  rest(ms: number): void {
    this.#refill()
    this.#tokens = Math.min(this.#tokens, 0)
    this.#countedAt = Math.max(this.#countedAt, this.#clock.now() + ms)
    this.#admit()
  }

  #capacity(): number {
    return Math.max(1, this.#rate)
  }

  #refill(): void {
    const now = this.#clock.now()
    if (now <= this.#countedAt) return
    this.#tokens = Math.min(this.#capacity(), this.#tokens + ((now - this.#countedAt) / 1000) * this.#rate)
    this.#countedAt = now
  }

  /** Milliseconds until somebody with so many before him has his turn. */
  #waitBehind(others: number): number {
    const resting = Math.max(0, this.#countedAt - this.#clock.now())
    return resting + (Math.max(0, others + 1 - this.#tokens) / this.#rate) * 1000
  }

  /** Lets through whose turn it is, and comes back for the next. */
  #admit(): void {
    clearTimeout(this.#wake)
    this.#refill()
    for (const admit of this.#waiters) {
      if (this.#tokens < 1) {
        this.#admitLater()
        return
      }
      this.#tokens -= 1
      admit()
    }
  }

  #admitLater(): void {
    clearTimeout(this.#wake)
    this.#wake = setTimeout(() => this.#admit(), Math.ceil(this.#waitBehind(0)))
  }

  #refusal(): OciError {
    const seconds = Math.max(1, Math.ceil(this.#waitBehind(this.#waiters.size) / 1000))
    return new OciError(
      'TOOMANYREQUESTS',
      `ecr-mirror: too many requests wait for ECR, which allows ${this.#rate} ${this.#action} a second in this ` +
        `account and region. Try again in ${seconds} s, or have that quota raised.`,
      { retryAfter: seconds },
    )
  }
}
