import type { Door } from '../client/client.js'
import type { Upstream } from '../upstream/upstream.js'

export const SERVER_NAMES = ['mirror', 'distribution', 'nginx apr1', 'nginx bcrypt', 'straight'] as const

/** `straight` is no server: the client goes to the upstream itself. */
export type ServerName = (typeof SERVER_NAMES)[number]

export interface Login {
  readonly user: string
  readonly password: string
}

/** A server in a process of its own, with an empty cache, in front of the upstream. */
export interface Server extends Door {
  readonly name: ServerName
  readonly login: Login
  /** Undefined where there is no process to be measured. */
  readonly pid: number | undefined
  stop(): Promise<unknown>
}

export interface ServerOptions {
  readonly upstream: Upstream
  /** Of its own: for its files, its log and its cache. */
  readonly directory: string
  readonly tls?: TlsFiles | undefined
  /** The Node.js that the mirror runs on, and its flags. */
  readonly node: readonly string[]
}

export interface TlsFiles {
  /** Paths of PEM files. */
  readonly certificate: string
  readonly key: string
  /** What is in the first one, which is signed by itself. */
  readonly pem: string
}

export interface ServerKind {
  readonly name: ServerName
  /** The command it takes, and the Debian package that has it. */
  readonly needs?: { readonly command: string; readonly package: string }
  start(options: ServerOptions): Promise<Server>
}
