import { createHmac, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { PasswordHash } from './password-hash.js'
import type { Users } from './users.js'

/**
 * `bad`: no such user or another password, which look alike. `busy`: too many passwords are waiting to be checked.
 * `held`: this name was refused too often from this address, and waits for `HELD_SECONDS` at most.
 */
export type Verdict = 'good' | 'bad' | 'busy' | 'held'

export interface PasswordCheck {
  /** `address` is whom to hold for refusals: the client's, or the peer's where the client's is not known. */
  check(user: string, password: string, address: string | undefined): Promise<Verdict>
  /** Whether there is a user of that name, whatever the password. */
  knows(user: string): boolean
  /** Forgets all that was found out. Happens by itself when `users()` gives another object than before. */
  forget(): void
  /** How many passwords are being hashed or wait for it. */
  readonly queued: number
  /** How many credentials are remembered as good. */
  readonly remembered: number
}

export const HELD_SECONDS = 60
const REFUSALS_BEFORE_HOLD = 10
const MAX_REMEMBERED = 10_000

/** What was found out about one set of users; a hash that ends after the set was replaced writes into the old one. */
interface Findings {
  readonly users: Users
  readonly costliest: PasswordHash | undefined
  readonly mostHashesOfOne: number
  readonly good: LRUCache<string, true>
  readonly refusals: LRUCache<string, { count: number }>
  readonly running: Map<string, Promise<boolean>>
}

/**
 * Checks passwords without letting that become a way to stop the mirror: a client sends its password with every
 * request, and one bcrypt comparison of cost 12 takes a quarter of a second.
 * Good credentials are remembered until `rememberFor` milliseconds after their last use; others are hashed one at a
 * time off the event loop, `queueLimit` of them at most running or waiting. Passwords are not kept: what is remembered
 * is a MAC under a key of this process.
 */
export function createPasswordCheck(options: {
  readonly users: () => Users
  readonly queueLimit?: number
  readonly rememberFor?: number
  /** Milliseconds that never go back. */
  readonly clock?: () => number
}): PasswordCheck {
  const { queueLimit = 64, rememberFor = 10 * 60 * 1000, clock = () => performance.now() } = options
  const key = randomBytes(32)
  let queued = 0
  let turn: Promise<unknown> = Promise.resolve()
  let findings = begin(options.users())

  function begin(users: Users): Findings {
    const cache = { max: MAX_REMEMBERED, ttlResolution: 0, perf: { now: clock } }
    const lists = [...users.values()]
    return {
      users,
      costliest: lists
        .flat()
        .reduce<PasswordHash | undefined>(
          (most, hash) => (most === undefined || hash.effort > most.effort ? hash : most),
          undefined,
        ),
      mostHashesOfOne: lists.reduce((most, list) => Math.max(most, list.length), 0),
      good: new LRUCache({ ...cache, ttl: rememberFor, updateAgeOnGet: true }),
      refusals: new LRUCache({ ...cache, ttl: HELD_SECONDS * 1000 }),
      running: new Map(),
    }
  }

  function current(): Findings {
    const users = options.users()
    if (users !== findings.users) findings = begin(users)
    return findings
  }

  /** Looking a MAC up takes a time that tells about the MAC alone, which nobody can aim without the key. */
  function mac(first: string, second: string): string {
    return createHmac('sha256', key).update(`${first.length}:${first}${second}`).digest('base64')
  }

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    queued++
    const mine = turn.then(work).finally(() => queued--)
    turn = mine.catch(() => undefined)
    return mine
  }

  /** A wrong password costs the same whoever is named: as many hashes as anybody has, the missing ones the costliest. */
  async function compare(
    { users, costliest, mostHashesOfOne }: Findings,
    user: string,
    password: string,
  ): Promise<boolean> {
    const hashes = users.get(user) ?? []
    for (const hash of hashes) {
      if (await hash.matches(password)) return true
    }
    for (let count = hashes.length; count < mostHashesOfOne; count++) await costliest?.matches(password)
    return false
  }

  function start(found: Findings, credentials: string, user: string, password: string): Promise<boolean> {
    const run = inTurn(() => compare(found, user, password))
      .then(good => {
        if (good) found.good.set(credentials, true)
        return good
      })
      .finally(() => found.running.delete(credentials))
    found.running.set(credentials, run)
    return run
  }

  return {
    async check(user, password, address) {
      const found = current()
      const credentials = mac(user, password)
      if (found.good.get(credentials)) return 'good'
      const pair = mac(user, address ?? '')
      if ((found.refusals.get(pair)?.count ?? 0) >= REFUSALS_BEFORE_HOLD) return 'held'
      const running = found.running.get(credentials)
      if (!running && queued >= queueLimit) return 'busy'
      if (await (running ?? start(found, credentials, user, password))) return 'good'
      // A client that asks for many blobs at once with one mistyped password has guessed once.
      if (running) return 'bad'

      const refusals = found.refusals.get(pair) ?? { count: 0 }
      if (refusals.count === 0) found.refusals.set(pair, refusals)
      refusals.count++
      return refusals.count > REFUSALS_BEFORE_HOLD ? 'held' : 'bad'
    },
    knows: user => current().users.has(user),
    forget() {
      findings = begin(options.users())
    },
    get queued() {
      return queued
    },
    get remembered() {
      return current().good.size
    },
  }
}
