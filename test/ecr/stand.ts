import type { Accounts, Registry, Repository } from './accounts.js'
import type { Knobs, Profile } from './knobs.js'
import type { Quotas } from './quotas.js'
import type { LayerBucket } from './s3.js'
import type { Exchange } from './server.js'
import type { Tokens } from './tokens.js'

/** What every part of the stand-in works on. */
export interface Stand {
  readonly profile: Profile
  readonly knobs: Knobs
  readonly accounts: Accounts
  readonly tokens: Tokens
  /** The roles that were assumed, by the access key that was given out for each. */
  readonly roles: Map<string, string>
  readonly quotas: Quotas
  readonly bucket: LayerBucket
  /** Where large uploads are kept. */
  readonly spoolDirectory: string
}

/** An exchange with the registry of one account, after the door. */
export interface Visit extends Exchange {
  readonly stand: Stand
  readonly knobs: Knobs
  readonly registry: Registry
}

/** A visit to a repository by name, which may not exist. */
export interface RepositoryVisit extends Visit {
  readonly name: string
  readonly repository: Repository | undefined
}
