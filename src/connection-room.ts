import type { Socket } from 'node:net'
import { networkOf } from './access/network-of.js'
import { Budget } from './budget.js'
import { MAX_WAITING } from './pipeline.js'
import { Shares } from './shares.js'

export interface ConnectionRoomOptions {
  readonly maxConnections: number
  readonly maxConnectionsPerAddress: number
  /** Whether many clients come from an address, as from a proxy in front, so that only the bound on all is for it. */
  readonly isShared: (address: string) => boolean
}

/** Of all connections, those of strangers at most when idle ones of users would have to go for more. */
const SHARE_OF_STRANGERS = 0.75
/** How many of those that could go are looked at, the oldest first, so that a flood is not worked on at length. */
const LOOKED_AT = 64

/** A connection that is open. */
interface Open {
  readonly socket: Socket
  /** Undefined for a proxy's. */
  readonly network: string | undefined
  /** Undefined as long as nobody has logged in on it. */
  user: string | undefined
  isOver: boolean
}

/**
 * Room for the connections of all ports together, and of each address. When all are taken, one that comes takes the place
 * of another whose owner has more than its own: the oldest on which nobody has logged in, and else one of a user that
 * waits for no answer. So connections that say nothing keep nobody out.
 */
export class ConnectionRoom {
  readonly all: Budget
  readonly #addresses = new Map<string, number>()
  readonly #options: ConnectionRoomOptions
  readonly #open = new WeakMap<Socket, Open>()
  readonly #byEnds = new Map<string, Open>()
  /** Those on which nobody has logged in, the oldest first. */
  readonly #strangers = new Set<Open>()
  /** Those of users that wait for no answer, the longest idle first. */
  readonly #idle = new Set<Open>()
  /** By whose they are. */
  readonly #owned = new Map<string, number>()
  /** Requests that came before their turn. */
  readonly #waiting: Shares
  #refusedAddresses = 0

  constructor(options: ConnectionRoomOptions) {
    this.#options = options
    this.all = new Budget(options.maxConnections)
    this.#waiting = new Shares(new Budget(options.maxConnections), MAX_WAITING)
  }

  /** Of the address with the most. */
  get perAddress(): Pick<Budget, 'limit' | 'inUse' | 'refusals'> {
    return {
      limit: this.#options.maxConnectionsPerAddress,
      inUse: Math.max(0, ...this.#addresses.values()),
      refusals: this.#refusedAddresses,
    }
  }

  /** Takes a connection in until it closes. False when there is no room for it. */
  admit(socket: Socket): boolean {
    const { remoteAddress } = socket
    // It has closed already.
    if (remoteAddress === undefined) return false
    const network = this.#options.isShared(remoteAddress) ? undefined : networkOf(remoteAddress)
    const open = network === undefined ? 0 : (this.#addresses.get(network) ?? 0)
    if (open >= this.#options.maxConnectionsPerAddress) {
      this.#refusedAddresses++
      return false
    }
    const opened: Open = { socket, network, user: undefined, isOver: false }
    if (!this.all.take() && !this.#displaceFor(opened)) return false
    if (network !== undefined) this.#addresses.set(network, open + 1)
    this.#count(opened, 1)
    this.#strangers.add(opened)
    this.#open.set(socket, opened)
    const ends = endsOf(socket)
    this.#byEnds.set(ends, opened)
    socket.once('close', () => {
      if (this.#byEnds.get(ends) === opened) this.#byEnds.delete(ends)
      this.#leave(opened)
    })
    return true
  }

  /** The connection goes on as another socket, which TLS has made of it. */
  secured(socket: Socket): void {
    const open = this.#byEnds.get(endsOf(socket))
    if (open) this.#open.set(socket, open)
  }

  /** Somebody has logged in on the connection, in a request that waits for its answer. */
  loggedIn(socket: Socket, user: string): void {
    const open = this.#open.get(socket)
    if (!open || open.user === user || open.isOver) return
    this.#strangers.delete(open)
    this.#count(open, -1)
    open.user = user
    this.#count(open, 1)
  }

  /** Whether a request on the connection waits for its answer now. */
  setBusy(socket: Socket, isBusy: boolean): void {
    const open = this.#open.get(socket)
    if (open?.user === undefined) return
    if (isBusy || open.isOver) this.#idle.delete(open)
    else this.#idle.add(open)
  }

  /**
   * Lets a request wait for the one before it on its connection, until what it gives is called. Undefined when the
   * address has as many that wait as it may.
   */
  wait(socket: Socket): (() => void) | undefined {
    const client = { network: this.#open.get(socket)?.network ?? '' }
    if (!this.#waiting.take(client)) {
      this.all.refuse()
      return undefined
    }
    return () => this.#waiting.giveBack(client)
  }

  /** Whether another went for it; the refusal has been counted. */
  #displaceFor(newcomer: Open): boolean {
    const most = this.#ownedWith(newcomer) + 1
    let victim = this.#oldestOfWhoHasMost(this.#strangers, most)
    if (!victim && this.#strangers.size < this.all.limit * SHARE_OF_STRANGERS)
      victim = this.#oldestOfWhoHasMost(this.#idle, most)
    if (!victim) return false
    this.#leave(victim)
    victim.socket.destroy()
    return this.all.take()
  }

  #oldestOfWhoHasMost(among: Iterable<Open>, atLeast: number): Open | undefined {
    let found: Open | undefined
    let most = atLeast
    let looked = 0
    for (const each of among) {
      if (++looked > LOOKED_AT) break
      const owned = this.#ownedWith(each)
      if (owned < most || (found && owned === most)) continue
      found = each
      most = owned
    }
    return found
  }

  /** How many whoever owns it has, of this kind. Those of a proxy have owners that are not known. */
  #ownedWith({ network, user }: Open): number {
    return (network === undefined ? undefined : this.#owned.get(ownerOf(network, user))) ?? 0
  }

  #count({ network, user }: Open, more: 1 | -1): void {
    if (network === undefined) return
    const owner = ownerOf(network, user)
    const count = (this.#owned.get(owner) ?? 0) + more
    if (count === 0) this.#owned.delete(owner)
    else this.#owned.set(owner, count)
  }

  #leave(open: Open): void {
    if (open.isOver) return
    open.isOver = true
    this.#strangers.delete(open)
    this.#idle.delete(open)
    this.#count(open, -1)
    this.all.giveBack()
    const { network } = open
    if (network === undefined) return
    const left = (this.#addresses.get(network) ?? 1) - 1
    if (left === 0) this.#addresses.delete(network)
    else this.#addresses.set(network, left)
  }
}

function ownerOf(network: string, user: string | undefined): string {
  return user === undefined ? `address ${network}` : `user ${user}`
}

/** By its two ends a connection is one (RFC 9293, section 3.3.1), whatever is made of it in the process. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}
