/** What a client may call a registry that the mirror stands for. */
export interface RegistryName {
  /** A registry host as it stands in image names and in `ns`. */
  readonly name: string
  /** The upstream that is meant; `<mirror>/<upstream>/<repository>` means the same. */
  readonly upstream: string
  /** Whether it is the upstream's own ECR host, to which one may also push. */
  readonly isHost: boolean
  readonly isDefault: boolean
  /** Whether somebody who does not log in may pull something there. */
  readonly isOpen: boolean
}

/** The mirror as its clients are to see it. */
export interface MirrorForClients {
  /** Scheme, host and port, with nothing after them. */
  readonly url: string
  readonly user: string
  readonly password: string
  /** Whether `GET /v2/` asks for a login. */
  readonly hasUsers: boolean
  readonly registries: readonly RegistryName[]
  /** In PEM, what a client has to trust to reach the mirror under a host name; undefined where that is not known. */
  readonly authorityFor: (hostName: string) => string | undefined
}

/** A file that a client reads. */
export interface ClientFile {
  /** Absolute, `~/…` in the home of whoever runs the client, or just a name where it belongs to no place. */
  readonly path: string
  readonly content: string
  /** Whether the password is in it. */
  readonly secret: boolean
}

/** All that one kind of client needs for the mirror. */
export interface ClientSetup {
  readonly files: readonly ClientFile[]
  /** What to know before using them, a sentence or two each. */
  readonly notes: readonly string[]
  /** Shell commands that show whether it works. */
  readonly test: readonly string[]
}

export type Client = (mirror: MirrorForClients) => ClientSetup
