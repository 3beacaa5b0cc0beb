import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { makeCertificate } from '../test/support/certificate.js'
import type { Verify } from './client/client.js'
import { missing } from './installed.js'
import type { Server, ServerName, TlsFiles } from './servers/server.js'
import { SERVERS } from './servers/servers.js'
import type { Upstream } from './upstream/upstream.js'

export interface StageOptions {
  readonly upstream: Upstream
  /** In which everything is, and which is removed in the end. */
  readonly directory: string
  readonly rounds: number
  readonly quick: boolean
  /** The Node.js that the mirror runs on, and its flags. */
  readonly node: readonly string[]
  readonly signal: AbortSignal
}

/** What a case has to work with. */
export class Stage {
  readonly upstream: Upstream
  readonly rounds: number
  readonly node: readonly string[]
  /** Aborts when no more is to be measured. */
  readonly signal: AbortSignal
  /** `digest` where it only matters that the right bytes come. */
  readonly verify: Verify
  /** A size or a number: the one that is measured with, or the one that shows that everything works. */
  readonly sized: (choice: { readonly full: number; readonly quick: number }) => number
  readonly #directory: string
  readonly #quick: boolean
  readonly #running = new Map<string, Server>()
  #tls: TlsFiles | undefined

  constructor({ upstream, directory, rounds, quick, node, signal }: StageOptions) {
    this.signal = signal
    this.node = node
    this.upstream = upstream
    this.rounds = rounds
    this.verify = quick ? 'digest' : 'length'
    this.#directory = directory
    this.#quick = quick
    this.sized = choice => (quick ? choice.quick : choice.full)
  }

  newDirectory(name: string): Promise<string> {
    return mkdtemp(join(this.#directory, `${name.replace(' ', '-')}-`))
  }

  /** Those of the servers that run on this machine, newly started, with empty caches. */
  async start(names: readonly ServerName[], secure: boolean): Promise<Server[]> {
    const servers: Server[] = []
    for (const name of names.filter(each => missing(SERVERS[each].needs) === undefined)) {
      const key = `${name} ${secure ? 'tls' : 'plain'}`
      const server = this.#running.get(key) ?? (await this.#start(name, secure))
      this.#running.set(key, server)
      servers.push(server)
    }
    return servers
  }

  /** Ends a case. Where nothing is measured its servers stay, for the next one. */
  async clear(): Promise<void> {
    if (!this.#quick) await this.close()
    await this.upstream.limit({})
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running.values()].map(server => server.stop()))
    this.#running.clear()
  }

  async #start(name: ServerName, secure: boolean): Promise<Server> {
    const directory = await this.newDirectory(name)
    const tls = secure ? (this.#tls ??= makeCertificate(this.#directory, '127.0.0.1')) : undefined
    return SERVERS[name].start({ upstream: this.upstream, directory, tls, node: this.node })
  }
}
