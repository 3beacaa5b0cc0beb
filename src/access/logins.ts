import { createHmac, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { createHashQueue } from './hash-queue.js'

/** How long a refusal counts, and how long a name is held for what was refused of it. */
export const HELD_SECONDS = 60
/** When those are to come again for whom there is no room. */
export const AGAIN_SECONDS = 2

const REFUSALS_OF_PAIR = 10
const REFUSALS_OF_NETWORK = 50
const MAX_REMEMBERED = 10_000
/** Enough for what comes within `HELD_SECONDS` of a flood of 800 names a second. */
const MAX_COUNTED = 50_000

export interface LoginsOptions {
  /** How many passwords may be under way or wait, and how many may besides be looked at later. */
  readonly queueLimit?: number
  /** Milliseconds after their last use for which good credentials are remembered. */
  readonly rememberFor?: number
  /** Milliseconds that never go back. */
  readonly clock?: () => number
}

interface Guesses {
  count: number
  /** Those charged without having been looked at, each once. */
  unseen?: Set<string>
}

/**
 * What was found out about logins, by MACs under a key of this process: no password is kept but those that wait. It
 * outlives the users it was found out about, whose reload must not send everybody into the queue at once; so what counts
 * about a name or credentials is asked for with what they stood for.
 */
export class Logins {
  readonly #key = randomBytes(32)
  readonly #queue
  readonly #good: LRUCache<string, string>
  readonly #pairs: LRUCache<string, Guesses>
  readonly #networks: LRUCache<string, { count: number }>
  readonly #underWay = new Map<string, Promise<boolean | undefined>>()
  readonly #later = new Set<string>()
  #refused = 0

  constructor(options: LoginsOptions = {}) {
    const { queueLimit = 64, rememberFor = 10 * 60 * 1000, clock = () => performance.now() } = options
    this.#queue = createHashQueue(queueLimit)
    const common = { ttlResolution: 0, perf: { now: clock } }
    this.#good = new LRUCache({ ...common, max: MAX_REMEMBERED, ttl: rememberFor, updateAgeOnGet: true })
    this.#pairs = new LRUCache({ ...common, max: MAX_COUNTED, ttl: HELD_SECONDS * 1000 })
    this.#networks = new LRUCache({ ...common, max: MAX_COUNTED, ttl: HELD_SECONDS * 1000 })
  }

  /** Looking a MAC up takes a time that tells about the MAC alone, which nobody can aim without the key. */
  mac(first: string, second: string): string {
    return createHmac('sha256', this.#key).update(`${first.length}:${first}${second}`).digest('base64')
  }

  /** The identity of the hash that the credentials were good for, if they were. */
  goodFor(credentials: string): string | undefined {
    return this.#good.get(credentials)
  }

  remember(credentials: string, hash: string): void {
    this.#good.set(credentials, hash)
  }

  isHeld(pair: string): boolean {
    return (this.#pairs.get(pair)?.count ?? 0) >= REFUSALS_OF_PAIR
  }

  /** Counts a guess before it is looked at, so that guesses at the same time are no way around being held. */
  charge(pair: string): void {
    this.#guesses(pair).count++
  }

  refund(pair: string): void {
    const guesses = this.#pairs.get(pair)
    if (guesses && guesses.count > 0) guesses.count--
  }

  isFlooding(network: string): boolean {
    return (this.#networks.get(network)?.count ?? 0) >= REFUSALS_OF_NETWORK
  }

  countRefusal(network: string): void {
    const refusals = this.#networks.get(network)
    if (refusals) refusals.count++
    else this.#networks.set(network, { count: 1 })
  }

  countRefused(): void {
    this.#refused++
  }

  underWay(attempt: string): Promise<boolean | undefined> | undefined {
    return this.#underWay.get(attempt)
  }

  /** The result, in the network's turn; undefined where there is no room. */
  look(attempt: string, network: string, work: () => Promise<boolean>): Promise<boolean | undefined> {
    const look = this.#queue.take(network, work).finally(() => this.#underWay.delete(attempt))
    this.#underWay.set(attempt, look)
    return look
  }

  /** Charges the pair, whether or not there is room for the work: what a name is charged must not tell whether it exists. */
  lookLater(attempt: string, pair: string, work: () => Promise<boolean>, isKnown: boolean): void {
    const guesses = this.#guesses(pair)
    guesses.unseen ??= new Set()
    if (!guesses.unseen.has(attempt)) {
      guesses.unseen.add(attempt)
      guesses.count++
    }
    if (this.#later.has(attempt)) return
    this.#later.add(attempt)
    this.#queue.takeLater(
      () => work(),
      isKnown,
      () => this.#later.delete(attempt),
    )
  }

  #guesses(pair: string): Guesses {
    const known = this.#pairs.get(pair)
    if (known) return known
    const fresh: Guesses = { count: 0 }
    this.#pairs.set(pair, fresh)
    return fresh
  }

  get waiting(): number {
    return this.#queue.waiting
  }

  get limit(): number {
    return this.#queue.limit
  }

  get refused(): number {
    return this.#refused
  }

  get remembered(): number {
    return this.#good.size
  }
}
