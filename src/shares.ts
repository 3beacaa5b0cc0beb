import type { Budget } from './budget.js'

/** Who takes something: whoever has logged in, or a stranger, of whom nothing but the address is known. */
export interface Client {
  /** The address, or the /64 of IPv6 addresses, that it comes from. */
  readonly network: string
  /** Who it is, once that is known; nobody who was let in without a login. */
  readonly user?: string | undefined
}

/** Whoever there is nobody to share with. */
export const ALONE: Client = { network: '', user: '' }

/** Of all there is, what strangers may have together; the rest is for those who have logged in. */
const SHARE_OF_STRANGERS = 0.75
/** How many times what is left one user may have, from all addresses together. */
const WEIGHT_OF_USER = 2

const STRANGERS = 'strangers'

/**
 * A budget, of which each client has a share: **no more than it leaves for others**. One client alone may have half,
 * two greedy ones a third each, and there is always as much left for a newcomer as each of them has (Choudhury and
 * Hahne, "Dynamic queue length thresholds", 1998). A fixed share would either be of no use against several, or starve
 * the one client of a small mirror.
 *
 * Who a client is depends on what is known of it:
 * - Before a login it is its address. All strangers together leave a quarter to those who have logged in.
 * - Afterwards it is its user name at its address, whatever others do from there: many users have one address behind
 *   NAT, and it is not for one of them, nor for a stranger there, to keep the others out.
 * - A user name has, from all its addresses together, up to twice what it leaves: a fleet of CI jobs often has one name
 *   and many addresses, and must neither be held to what one machine may have nor take everything.
 *
 * So little that no one can work with less, `least`, anybody may have as long as it is there.
 */
export class Shares {
  readonly budget: Budget
  readonly #least: number
  readonly #held = new Map<string, number>()

  constructor(budget: Budget, least: number) {
    this.budget = budget
    this.#least = least
  }

  get limit(): number {
    return this.budget.limit
  }

  get inUse(): number {
    return this.budget.inUse
  }

  /** How often something was refused since the start, to whomever. */
  get refusals(): number {
    return this.budget.refusals
  }

  /** How much the client has, as who it is at where it is. */
  heldBy(client: Client): number {
    return this.#held.get(ownKey(client)) ?? 0
  }

  /** Whether the client may have so much more, and all together no more than a share of the budget. */
  allows(client: Client, amount = 1, share = 1): boolean {
    return this.budget.fits(amount, share) && this.#isWithinShare(client, amount)
  }

  /** Takes so much, to be given back. False, with nothing taken and a refusal counted, when `allows` says no. */
  take(client: Client, amount = 1, share = 1): boolean {
    if (!this.#isWithinShare(client, amount)) return this.budget.refuse()
    if (!this.budget.take(amount, share)) return false
    for (const key of keysOf(client)) this.#held.set(key, (this.#held.get(key) ?? 0) + amount)
    return true
  }

  giveBack(client: Client, amount = 1): void {
    this.budget.giveBack(amount)
    for (const key of keysOf(client)) {
      const left = (this.#held.get(key) ?? 0) - amount
      if (left > 0) this.#held.set(key, left)
      else this.#held.delete(key)
    }
  }

  #isWithinShare(client: Client, amount: number): boolean {
    const { limit, inUse } = this.budget
    const left = limit - inUse - amount
    const within = (key: string, most: number): boolean =>
      (this.#held.get(key) ?? 0) + amount <= Math.max(this.#least, most)
    if (!within(ownKey(client), left)) return false
    return client.user === undefined
      ? within(STRANGERS, Math.ceil(limit * SHARE_OF_STRANGERS))
      : within(userKey(client.user), WEIGHT_OF_USER * left)
  }
}

function ownKey({ network, user }: Client): string {
  return user === undefined ? `address ${network}` : `${userKey(user)}\n${network}`
}

function userKey(user: string): string {
  return `user ${user}`
}

function keysOf(client: Client): readonly string[] {
  return [ownKey(client), client.user === undefined ? STRANGERS : userKey(client.user)]
}
