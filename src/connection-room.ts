import { isIPv4, type Socket } from 'node:net'
import { canonicalAddress } from './access/address-set.js'
import { Budget } from './budget.js'

export interface ConnectionRoomOptions {
  readonly maxConnections: number
  readonly maxConnectionsPerAddress: number
  /** Whether many clients come from an address, as from a proxy in front, so that only the bound on all is for it. */
  readonly isShared: (address: string) => boolean
}

/** Room for the connections of all ports together, and of each address. */
export class ConnectionRoom {
  readonly all: Budget
  readonly #addresses = new Map<string, number>()
  readonly #options: ConnectionRoomOptions
  #refusedAddresses = 0

  constructor(options: ConnectionRoomOptions) {
    this.#options = options
    this.all = new Budget(options.maxConnections)
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
    const key = this.#options.isShared(remoteAddress) ? undefined : networkOf(remoteAddress)
    const open = key === undefined ? 0 : (this.#addresses.get(key) ?? 0)
    if (open >= this.#options.maxConnectionsPerAddress) {
      this.#refusedAddresses++
      return false
    }
    if (!this.all.take()) return false
    if (key !== undefined) this.#addresses.set(key, open + 1)
    socket.once('close', () => this.#leave(key))
    return true
  }

  #leave(key: string | undefined): void {
    this.all.giveBack()
    if (key === undefined) return
    const left = (this.#addresses.get(key) ?? 1) - 1
    if (left === 0) this.#addresses.delete(key)
    else this.#addresses.set(key, left)
  }
}

/** Whom an address is one of: a host has a whole /64 of IPv6 (RFC 7421), and may come from any address in it. */
function networkOf(address: string): string {
  const canonical = canonicalAddress(address) ?? address
  if (isIPv4(canonical)) return canonical
  const [head = [], tail = []] = canonical
    .split('::')
    .map(part => part.split(':').filter(group => group !== ''))
  const groups = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail]
  return groups.slice(0, 4).join(':')
}
