import { ECRClient, GetAuthorizationTokenCommand } from '@aws-sdk/client-ecr'
import type { PrivateEcrHost } from './ecr-host.js'
import type { IssuedToken } from './ecr-token.js'
import { MalformedToken } from './token-problem.js'
import { untilAborted } from '../until-aborted.js'

/** Where the AWS credentials of an upstream come from; empty for the AWS SDK's default chain. */
export interface CredentialSettings {
  readonly profile?: string | undefined
  readonly roleArn?: string | undefined
  readonly externalId?: string | undefined
  readonly sessionName?: string | undefined
}

export interface EcrApiSettings {
  readonly ecr: Pick<PrivateEcrHost, 'region' | 'fips' | 'dualStack'>
  readonly credentials: CredentialSettings
  /** A URL; otherwise AWS's own rules. */
  readonly apiEndpoint: string | undefined
  /** Milliseconds for one token, the SDK's own attempts and the way to the credentials included. */
  readonly deadline?: number
}

/** The ECR API of a region, as far as the mirror uses it. */
export interface EcrApi {
  /** Fails with the SDK's errors, or a MalformedToken. */
  issueToken(): Promise<IssuedToken>
  close(): void
}

/**
 * Times in milliseconds for calls to AWS. The SDK's own default is no limit at all, and without the last of these a
 * warning instead of one.
 */
export const REQUEST_HANDLER = { connectionTimeout: 3000, requestTimeout: 5000, throwOnRequestTimeout: true }

/** Base64, and as long as a header can be. */
const AUTHORIZATION_TOKEN = /^[A-Za-z0-9+/_-]{1,131072}={0,2}$/

export function createEcrApi({ ecr, credentials, apiEndpoint, deadline = 15_000 }: EcrApiSettings): EcrApi {
  const client = new ECRClient({
    region: ecr.region,
    requestHandler: REQUEST_HANDLER,
    ...endpointOf(ecr, apiEndpoint),
    ...credentialsOf(ecr.region, credentials),
  })
  return {
    async issueToken() {
      const abortSignal = AbortSignal.timeout(deadline)
      // Looking for credentials heeds no signal, so the wait for it ends here.
      const answer = await untilAborted(
        client.send(new GetAuthorizationTokenCommand({}), { abortSignal }),
        abortSignal,
      )
      const { authorizationToken, expiresAt } = answer.authorizationData?.[0] ?? {}
      if (authorizationToken === undefined || !AUTHORIZATION_TOKEN.test(authorizationToken)) {
        throw new MalformedToken('GetAuthorizationToken answered without a token.')
      }
      return { authorizationToken, expiresAt }
    },
    close: () => client.destroy(),
  }
}

/** The endpoint rules refuse FIPS and dual-stack along with an endpoint of one's own. */
function endpointOf(ecr: EcrApiSettings['ecr'], apiEndpoint: string | undefined): object {
  if (apiEndpoint !== undefined)
    return { endpoint: apiEndpoint, useFipsEndpoint: false, useDualstackEndpoint: false }
  return { ...(ecr.fips && { useFipsEndpoint: true }), ...(ecr.dualStack && { useDualstackEndpoint: true }) }
}

/** The part of an AWS client's configuration that says where its credentials come from. */
export function credentialsOf(
  region: string,
  { profile, roleArn, externalId, sessionName }: CredentialSettings,
): object {
  if (profile === undefined && roleArn === undefined) return {}
  // Loaded where it is wanted: it brings every kind of credentials along, some 20 MiB of it.
  const provider = import('@aws-sdk/credential-providers').then(({ fromIni, fromTemporaryCredentials }) => {
    const ofProfile = profile === undefined ? undefined : fromIni({ profile })
    if (roleArn === undefined) return ofProfile ?? fromIni()
    return fromTemporaryCredentials({
      ...(ofProfile && { masterCredentials: ofProfile }),
      params: {
        RoleArn: roleArn,
        RoleSessionName: sessionName ?? 'ecr-mirror',
        ...(externalId !== undefined && { ExternalId: externalId }),
      },
      clientConfig: { region, requestHandler: REQUEST_HANDLER },
    })
  })
  return { credentials: async (options?: object) => (await provider)(options) }
}
