import type { Logins } from './logins.js'
import { networkOf } from './network-of.js'
import type { PasswordHash } from './password-hash.js'
import type { Users } from './users.js'

/**
 * `bad`: no such user or another password, which look alike. `held`: this name was refused too often from this address,
 * and waits for `HELD_SECONDS` at most. `again`: there is no room, or too much was refused from this address; worth
 * another try after `AGAIN_SECONDS`, since what is not answered now is looked at meanwhile if it can be.
 */
export type Verdict = 'good' | 'bad' | 'held' | 'again'

export interface PasswordCheck {
  /** `address` is whom to hold for refusals: the client's, or the peer's where the client's is not known. */
  check(user: string, password: string, address: string | undefined): Promise<Verdict>
  /** Whether the credentials were found good lately, which takes no look at a hash. */
  remembers(user: string, password: string): boolean
  /** Whether there is a user of that name, whatever the password. */
  knows(user: string): boolean
  /** How many passwords are being hashed, or wait for it with a client that waits for them. */
  readonly waiting: number
  /** How many those may be. */
  readonly limit: number
  /** How many logins were refused so far, for whatever reason. */
  readonly refused: number
  /** How many credentials are remembered as good. */
  readonly remembered: number
}

/**
 * Checks passwords without letting that become a way to stop the mirror, to keep others out, or to learn who its users
 * are: a client sends its password with every request, and one bcrypt comparison of cost 12 takes a quarter of a second.
 *
 * 1. Credentials that were good before are good, whatever else goes on.
 * 2. A name that was refused ten times from one address is held there.
 * 3. From an address of which fifty were refused within a minute, nobody new is hashed while they wait.
 * 4. Others wait for their turn in a bounded queue.
 *
 * Whoever is told to come again because of 3 or 4 has their password looked at behind their back, names that exist first:
 * so a right one is good the next time, also behind an address that many share with an attacker.
 */
export function createPasswordCheck(users: Users, logins: Logins): PasswordCheck {
  const padding = paddingOf(users)

  /** The identity of the hash that the password is right for. A wrong one costs the same whoever is named. */
  async function find(user: string, password: string): Promise<string | undefined> {
    const hashes = users.get(user) ?? []
    for (const hash of hashes) {
      if (await hash.matches(password)) return hash.identity
    }
    for (const hash of padding(hashes)) await hash.matches(password)
    return undefined
  }

  /** A name with what its passwords are, so that what was found out about others does not count. */
  const marks = new Map([...users].map(([user, hashes]) => [user, logins.mac('', identitiesOf(hashes))]))
  const noMark = logins.mac('', '')
  const named = (user: string): string => (marks.get(user) ?? noMark) + user

  function remembers(user: string, credentials: string): boolean {
    const hash = logins.goodFor(credentials)
    return hash !== undefined && users.get(user)?.some(({ identity }) => identity === hash) === true
  }

  async function check(user: string, password: string, address: string | undefined): Promise<Verdict> {
    const credentials = logins.mac(user, password)
    if (remembers(user, credentials)) return 'good'

    const network = networkOf(address ?? '')
    const attempt = logins.mac(named(user), password)
    const pair = logins.mac(named(user), network)
    const look = async (): Promise<boolean> => {
      const found = await find(user, password)
      if (found === undefined) logins.countRefusal(network)
      else logins.remember(credentials, found)
      return found !== undefined
    }
    const lookLater = (): Verdict => {
      logins.lookLater(attempt, pair, look, users.has(user))
      return 'again'
    }

    if (logins.isHeld(pair)) return 'held'
    const underWay = logins.underWay(attempt)
    // A client that asks for many blobs at once with one mistyped password has guessed once.
    if (underWay) return verdictOf(await underWay)
    if (logins.isFlooding(network)) return lookLater()

    logins.charge(pair)
    let good: boolean | undefined
    try {
      good = await logins.look(attempt, network, look)
    } finally {
      if (good !== false) logins.refund(pair)
    }
    return good === undefined ? lookLater() : verdictOf(good)
  }

  return {
    async check(user, password, address) {
      const verdict = await check(user, password, address)
      if (verdict !== 'good') logins.countRefused()
      return verdict
    },
    remembers: (user, password) => remembers(user, logins.mac(user, password)),
    knows: user => users.has(user),
    get waiting() {
      return logins.waiting
    },
    get limit() {
      return logins.limit
    },
    get refused() {
      return logins.refused
    },
    get remembered() {
      return logins.remembered
    },
  }
}

const identitiesOf = (hashes: readonly PasswordHash[]): string =>
  hashes.map(({ identity }) => identity).join()

/**
 * The hashes that a wrong password is compared with in vain besides a user's own, so that it takes as many of each kind
 * whoever is named: as many as any user has of that kind.
 */
function paddingOf(users: Users): (own: readonly PasswordHash[]) => readonly PasswordHash[] {
  const most = new Map<string, readonly PasswordHash[]>()
  for (const hashes of users.values()) {
    for (const [kind, some] of byKind(hashes))
      if (some.length > (most.get(kind)?.length ?? 0)) most.set(kind, some)
  }
  return own => {
    const has = byKind(own)
    return [...most].flatMap(([kind, some]) => some.slice(has.get(kind)?.length ?? 0))
  }
}

function byKind(hashes: readonly PasswordHash[]): Map<string, PasswordHash[]> {
  const kinds = new Map<string, PasswordHash[]>()
  for (const hash of hashes) kinds.set(hash.kind, [...(kinds.get(hash.kind) ?? []), hash])
  return kinds
}

function verdictOf(good: boolean | undefined): Verdict {
  return good === undefined ? 'again' : good ? 'good' : 'bad'
}
