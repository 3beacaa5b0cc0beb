import type { CredentialSettings } from './aws-client.js'
import { createEcrApi, type EcrApi } from './ecr-api.js'
import type { EcrHost } from './ecr-host.js'
import { createEcrPublicApi } from './ecr-public-api.js'
import {
  createTokenCache,
  createTokenSource,
  type IssuedToken,
  type IssueToken,
  type TokenSource,
} from './ecr-token.js'
import type { DispatcherOptions } from './egress.js'
import { problemOf, type TokenProblem } from './token-problem.js'

/** What tokens are for, and the ways to them. */
export interface TokenRequest {
  readonly ecr: EcrHost
  readonly credentials: CredentialSettings
  /** A URL; otherwise AWS's own rules. */
  readonly apiEndpoint?: string | undefined
  /** The registry's origin, where the operator named another than its host. */
  readonly endpoint?: string | undefined
  readonly connections?: Partial<DispatcherOptions> | undefined
}

/** Token sources shared by all upstreams of the same credentials and region. */
export interface TokenSources {
  /** To be closed by whoever opened it; the source ends with the last one. */
  open(request: TokenRequest): OpenTokenSource
}

/** The API that gives out tokens. */
export interface TokenIssuer extends Partial<Pick<EcrApi, 'createRepository'>> {
  readonly issueToken: IssueToken
  close(): void
}

/** Tokens, and what else the API does by the same credentials. */
export type OpenTokenSource = TokenSource & Pick<TokenIssuer, 'createRepository'>

interface Shared {
  readonly source: TokenSource
  readonly api: TokenIssuer
  users: number
}

/**
 * A token is good for every registry of its region that its credentials may use, whatever the account. `onCall` is told
 * what came of each call for one.
 */
export function createTokenSources(
  createIssuer: (request: TokenRequest) => TokenIssuer = issuerFor,
  onCall: (result: 'ok' | TokenProblem) => void = () => undefined,
): TokenSources {
  const cache = createTokenCache()
  const table = new Map<string, Shared>()

  function create(key: string, request: TokenRequest): Shared {
    const api = createIssuer(request)
    const shared = { api, source: createTokenSource({ key, cache, issue: () => issueFrom(api) }), users: 0 }
    table.set(key, shared)
    return shared
  }

  async function issueFrom(api: TokenIssuer): Promise<IssuedToken> {
    try {
      const issued = await api.issueToken()
      onCall('ok')
      return issued
    } catch (error) {
      onCall(problemOf(error))
      throw error
    }
  }

  function release(key: string, shared: Shared): void {
    if (--shared.users > 0) return
    table.delete(key)
    shared.source.close()
    shared.api.close()
  }

  return {
    open(request) {
      const key = keyOf(request)
      const shared = table.get(key) ?? create(key, request)
      shared.users += 1
      let open = true
      return {
        ...shared.source,
        ...(shared.api.createRepository && { createRepository: shared.api.createRepository }),
        close() {
          if (open) release(key, shared)
          open = false
        },
      }
    },
  }
}

function issuerFor(request: TokenRequest): TokenIssuer {
  const { ecr, credentials, apiEndpoint, endpoint, connections } = request
  return ecr.kind === 'private'
    ? createEcrApi({ ecr, credentials, apiEndpoint })
    : createEcrPublicApi({ ecr, credentials, apiEndpoint, endpoint, connections })
}

function keyOf({ ecr, credentials, apiEndpoint, endpoint }: TokenRequest): string {
  const { profile, roleArn, externalId, sessionName } = credentials
  const place = ecr.kind === 'private' ? [ecr.region, ecr.fips, ecr.dualStack] : [ecr.host, endpoint]
  return JSON.stringify([
    ecr.kind,
    ...place,
    apiEndpoint,
    profile,
    roleArn,
    externalId?.reveal(),
    sessionName,
  ])
}
