import type { Readable } from 'node:stream'
import { Budget } from '../budget.js'
import { ALONE, Shares, type Client } from '../shares.js'
import { ManifestMemory } from './manifest-memory.js'
import { overloaded } from './overloaded.js'

/** What requests share. */
export interface RequestBudgets {
  /** Requests in flight. */
  readonly requests: Shares
  /** Those of them that need the upstream. */
  readonly misses: Shares
  readonly manifests: ManifestMemory
  /** Manifests that were too large, and those that nest too deep. */
  readonly manifestSize: Budget
  readonly manifestDepth: Budget
  /** Ranges of one request: those who ask for several are given the whole. */
  readonly ranges: Budget
}

/** Of all requests that may be in flight, how many there may be for one more of them to go upstream. */
export const SHARE_OF_MISSES = 0.9

/** A client that sends one request after another has one more while the end of the last has not been noticed. */
const LEAST_REQUESTS = 2

/**
 * What one request has of what all share. When many are in flight, those that need the upstream are turned away before
 * those that do not: these are over soonest, and cost least.
 */
export class RequestShare {
  readonly #budgets: RequestBudgets
  readonly #given: (() => void)[] = []
  #client = ALONE
  #isAdmitted = false
  #isMiss = false
  #isOver = false

  constructor(budgets: RequestBudgets) {
    this.#budgets = budgets
  }

  /** Whose request it is, as far as that is known. */
  get client(): Client {
    return this.#client
  }

  /**
   * Takes a place among the requests in flight, in place of one that it had as somebody else. Throws when the client,
   * or all together, have as many as they may, and then has none.
   */
  admit(client: Client): void {
    if (this.#isOver) return
    this.leave()
    this.#client = client
    if (!this.#budgets.requests.take(client)) throw overloaded('as many requests in flight')
    this.#isAdmitted = true
  }

  /** Gives the place back. */
  leave(): void {
    if (this.#isAdmitted) this.#budgets.requests.giveBack(this.#client)
    this.#isAdmitted = false
  }

  /** Called before the upstream is asked for this request. Throws when it may not be; once it may, it may again. */
  askUpstream(): void {
    const { requests, misses } = this.#budgets
    if (this.#isMiss || this.#isOver) return
    const { client } = this
    const mayAsk = requests.inUse <= misses.limit ? misses.take(client) : misses.budget.refuse()
    if (!mayAsk) throw overloaded('as many requests for its upstreams in flight')
    this.#isMiss = true
    this.#given.push(() => misses.giveBack(client))
  }

  /** A body as a whole. Undefined when it is larger than `limit`; what is left of it is the caller's to deal with. */
  async collect(body: Readable, limit: number): Promise<Buffer | undefined> {
    const bytes = await this.#budgets.manifests.collect(body, limit, this.client)
    if (bytes) this.hold(bytes)
    return bytes
  }

  /** Counts bytes as held until the request is over. */
  hold(bytes: Buffer): void {
    if (!this.#isOver) this.#given.push(this.#budgets.manifests.hold(bytes, this.client))
  }

  /** Counts what this request has too much of. */
  refused(bound: 'manifestSize' | 'manifestDepth' | 'ranges'): void {
    this.#budgets[bound].refuse()
  }

  /** The request is over. */
  giveBack(): void {
    this.#isOver = true
    for (const giveBack of this.#given.splice(0)) giveBack()
    this.leave()
  }
}

/** Budgets for a mirror with these limits; sizes in bytes. */
export function createRequestBudgets(limits: {
  readonly maxRequests: number
  readonly manifestMemory: Budget
  readonly maxManifest: number
  readonly maxManifestDepth: number
}): RequestBudgets {
  return {
    requests: new Shares(new Budget(limits.maxRequests), LEAST_REQUESTS),
    misses: new Shares(new Budget(Math.ceil(limits.maxRequests * SHARE_OF_MISSES)), LEAST_REQUESTS),
    manifests: new ManifestMemory(limits.manifestMemory),
    manifestSize: new Budget(limits.maxManifest),
    manifestDepth: new Budget(limits.maxManifestDepth),
    ranges: new Budget(1),
  }
}

/** For who has nobody to share with. */
export function unshared(): RequestShare {
  return new RequestShare(
    createRequestBudgets({
      maxRequests: Infinity,
      manifestMemory: new Budget(Infinity),
      maxManifest: Infinity,
      maxManifestDepth: Infinity,
    }),
  )
}
