import { createEcrApi, type CredentialSettings, type EcrApiSettings, type EcrApi } from './ecr-api.js'
import type { PrivateEcrHost } from './ecr-host.js'
import { createTokenCache, createTokenSource, type TokenSource } from './ecr-token.js'

/** Token sources shared by all upstreams of the same credentials and region. */
export interface TokenSources {
  /** To be closed by whoever opened it; the source ends with the last one. */
  open(ecr: PrivateEcrHost, credentials: CredentialSettings, apiEndpoint: string | undefined): TokenSource
}

interface Shared {
  readonly source: TokenSource
  readonly api: EcrApi
  users: number
}

/** A token is good for every registry of its region that its credentials may use, whatever the account. */
export function createTokenSources(
  createApi: (settings: EcrApiSettings) => EcrApi = createEcrApi,
): TokenSources {
  const cache = createTokenCache()
  const table = new Map<string, Shared>()

  function create(key: string, settings: EcrApiSettings): Shared {
    const api = createApi(settings)
    const shared = { api, source: createTokenSource({ key, cache, issue: () => api.issueToken() }), users: 0 }
    table.set(key, shared)
    return shared
  }

  function release(key: string, shared: Shared): void {
    if (--shared.users > 0) return
    table.delete(key)
    shared.source.close()
    shared.api.close()
  }

  return {
    open(ecr, credentials, apiEndpoint) {
      const { region, fips, dualStack } = ecr
      const { profile, roleArn, externalId, sessionName } = credentials
      const key = JSON.stringify([
        region,
        fips,
        dualStack,
        apiEndpoint,
        profile,
        roleArn,
        externalId,
        sessionName,
      ])
      const shared =
        table.get(key) ?? create(key, { ecr: { region, fips, dualStack }, credentials, apiEndpoint })
      shared.users += 1
      let open = true
      return {
        ...shared.source,
        close() {
          if (open) release(key, shared)
          open = false
        },
      }
    },
  }
}
