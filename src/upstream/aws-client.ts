import type { Secret } from '../secret.js'
import { MalformedToken } from './token-problem.js'

/** Where the AWS credentials of an upstream come from; empty for the AWS SDK's default chain. */
export interface CredentialSettings {
  readonly profile?: string | undefined
  readonly roleArn?: string | undefined
  readonly externalId?: Secret | undefined
  readonly sessionName?: string | undefined
}

/**
 * Times in milliseconds for calls to AWS. The SDK's own default is no limit at all, and without the last of these a
 * warning instead of one.
 */
export const REQUEST_HANDLER = { connectionTimeout: 3000, requestTimeout: 5000, throwOnRequestTimeout: true }

/** Base64, and as long as a header can be. */
const AUTHORIZATION_TOKEN = /^[A-Za-z0-9+/_-]{1,131072}={0,2}$/

/** What goes behind `Basic `. Throws a MalformedToken when an answer of the API has none. */
export function authorizationTokenOf(
  answer: { readonly authorizationToken?: string | undefined } | undefined,
): string {
  const { authorizationToken } = answer ?? {}
  if (authorizationToken !== undefined && AUTHORIZATION_TOKEN.test(authorizationToken))
    return authorizationToken
  throw new MalformedToken('GetAuthorizationToken answered without a token.')
}

/** An AWS client's setting of the credentials; `region` is the one whose STS is asked where a role is assumed. */
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
        ...(externalId !== undefined && { ExternalId: externalId.reveal() }),
      },
      clientConfig: { region, requestHandler: REQUEST_HANDLER },
    })
  })
  return { credentials: async (options?: object) => (await provider)(options) }
}
