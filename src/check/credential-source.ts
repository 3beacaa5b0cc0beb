import { z } from 'zod'

/** What the AWS SDK notes on credentials of how it came by them: short codes by names of its own. */
const Attributed = z.object({ $source: z.record(z.string(), z.string()).optional() })

/** From the most telling to the least, since credentials by way of others have the marks of all. */
const SOURCES: readonly (readonly [mark: string, source: string, bySts: boolean])[] = [
  ['CREDENTIALS_ENV_VARS_STS_WEB_ID_TOKEN', 'web identity (AWS_WEB_IDENTITY_TOKEN_FILE)', true],
  ['CREDENTIALS_PROFILE_STS_WEB_ID_TOKEN', 'web identity of a profile', true],
  ['CREDENTIALS_STS_ASSUME_ROLE_WEB_ID', 'web identity', true],
  ['CREDENTIALS_STS_ASSUME_ROLE', 'a role that was assumed', true],
  ['CREDENTIALS_PROFILE_SSO', 'IAM Identity Center (SSO) of a profile', false],
  ['CREDENTIALS_PROFILE_SSO_LEGACY', 'IAM Identity Center (SSO) of a profile', false],
  ['CREDENTIALS_SSO', 'IAM Identity Center (SSO)', false],
  ['CREDENTIALS_PROFILE_PROCESS', "a profile's credential_process", false],
  ['CREDENTIALS_PROCESS', 'a credential_process', false],
  ['CREDENTIALS_PROFILE_LOGIN', 'the login of a profile', false],
  ['CREDENTIALS_LOGIN', 'a login', false],
  ['CREDENTIALS_HTTP', 'the container (ECS task role, EKS pod identity)', false],
  ['CREDENTIALS_IMDS', "the instance's role", false],
  ['CREDENTIALS_PROFILE', 'keys of a profile', false],
  ['CREDENTIALS_ENV_VARS', 'environment (AWS_ACCESS_KEY_ID)', false],
]

export interface CredentialSource {
  /** For people. */
  readonly text: string
  /** Whether STS was needed for them. */
  readonly bySts: boolean
}

/** Where credentials that the AWS SDK resolved came from, as far as it tells. */
export function sourceOf(
  credentials: unknown,
  { profile, roleArn }: { readonly profile?: string | undefined; readonly roleArn?: string | undefined },
): CredentialSource {
  const parsed = Attributed.safeParse(credentials)
  const marks = (parsed.success && parsed.data.$source) || {}
  const [, text = 'a source of its own', bySts = false] = SOURCES.find(([mark]) => mark in marks) ?? []
  if (roleArn !== undefined)
    return { text: `role ${roleArn}${profile === undefined ? '' : `, by profile ${profile}`}`, bySts: true }
  return { text: profile === undefined ? text : `profile ${profile}: ${text}`, bySts }
}
