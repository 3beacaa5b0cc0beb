import { createHash } from 'node:crypto'
import { connectTo, type Address, type Answer, type Connection } from './connection.js'
import type { Wanted } from './wanted.js'

/** Where a client connects, and what it logs in with. */
export interface Door {
  readonly address: Address
  readonly authorization: string
}

/** Whether what comes is also hashed, which costs a client as much as all else. */
export type Verify = 'length' | 'digest'

/** A client with a connection that it keeps, and one more to each place it is redirected to. */
export class Client {
  readonly #door: Door
  readonly #connection: Connection
  readonly #elsewhere = new Map<string, Connection>()

  private constructor(door: Door, connection: Connection) {
    this.#door = door
    this.#connection = connection
  }

  /** Connects, and closes all connections when `use` has ended. */
  static async with<T>(door: Door, use: (client: Client) => Promise<T>): Promise<T> {
    const client = new Client(door, await connectTo(door.address))
    try {
      return await use(client)
    } finally {
      client.#connection.close()
      for (const connection of client.#elsewhere.values()) connection.close()
    }
  }

  ask(method: string, path: string, headers: readonly string[], body?: Iterable<Buffer>): Promise<Answer> {
    return this.#connection.ask(this.#head(method, path, headers), body)
  }

  /** Rejects when what comes is not what was wanted. */
  async get({ path, accept, digest, size }: Wanted, verify: Verify): Promise<void> {
    const hash = verify === 'digest' ? createHash('sha256') : undefined
    const onBytes = hash && ((bytes: Buffer) => void hash.update(bytes))
    const answer = await this.#connection.ask(this.#head('GET', path, [`Accept: ${accept}`]), [], onBytes)
    const location = answer.status === 307 ? answer.header('location') : undefined
    const bytes = location === undefined ? answer.bytes : await this.#follow(location, onBytes)
    if (bytes !== size) throw new Error(`${path} has ${bytes} bytes, not ${size}`)
    if (hash && `sha256:${hash.digest('hex')}` !== digest) throw new Error(`${path} came with other bytes`)
  }

  #head(method: string, path: string, headers: readonly string[]): string {
    const { address, authorization } = this.#door
    const lines = [
      `${method} ${path} HTTP/1.1`,
      `Host: ${address.hostname}:${address.port}`,
      `Authorization: ${authorization}`,
      ...headers,
    ]
    return `${lines.join('\r\n')}\r\n\r\n`
  }

  async #follow(location: string, onBytes?: (bytes: Buffer) => void): Promise<number> {
    const { host, hostname, port, pathname, search } = new URL(location)
    const known = this.#elsewhere.get(host)
    const connection = known ?? (await connectTo({ hostname, port: Number(port) }))
    this.#elsewhere.set(host, connection)
    const head = `GET ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\n\r\n`
    return (await connection.ask(head, [], onBytes)).bytes
  }
}

/** Gets one thing with a client of its own. */
export async function pull(door: Door, wanted: Wanted, verify: Verify): Promise<void> {
  await Client.with(door, client => client.get(wanted, verify))
}
