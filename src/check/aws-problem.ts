import type { CredentialSettings } from '../upstream/aws-client.js'
import { failureOf, wordsOf } from './failure.js'

/** What an error of the AWS SDK says about an identity. */
export interface AwsProblem {
  readonly kind:
    'no-credentials' | 'expired' | 'wrong-keys' | 'role' | 'clock' | 'denied' | 'unreachable' | 'other'
  readonly detail: string
  readonly advice: string
}

const UNKNOWN_KEY = [
  'InvalidClientTokenId',
  'UnrecognizedClientException',
  'InvalidAccessKeyId',
  'InvalidToken',
]
const BAD_SIGNATURE = ['SignatureDoesNotMatch', 'InvalidSignatureException', 'IncompleteSignature']
const EXPIRED = ['ExpiredToken', 'ExpiredTokenException', 'InvalidIdentityToken', 'IDPRejectedClaim']

/** AWS's words for a time stamp that is off, by code or within a refused signature. */
const CLOCK_NAMES = ['RequestTimeTooSkewed', 'RequestExpired', 'RequestInTheFuture']
const CLOCK_WORDS = /signature (?:expired|not yet current)|request has expired/i

/** `service` is what was asked, `ifUnreachable` what to do when it does not answer. */
export function awsProblemOf(
  error: unknown,
  credentials: CredentialSettings,
  service: string,
  ifUnreachable: string,
): AwsProblem {
  const name = error instanceof Error ? error.name : ''
  const words = wordsOf(error)
  const { kind, detail } = failureOf(error)
  if (CLOCK_NAMES.includes(name) || CLOCK_WORDS.test(words))
    return {
      kind: 'clock',
      detail: `${service} refuses the time of the request: ${words}`,
      advice: "set this machine's clock by NTP",
    }
  if (name === 'CredentialsProviderError' || name === 'TokenProviderError')
    return noCredentials(words, credentials)
  if (EXPIRED.includes(name))
    return {
      kind: 'expired',
      detail: `the credentials have expired (${name}: ${words})`,
      advice:
        'get new ones: aws sso login for a profile, new keys and AWS_SESSION_TOKEN in the environment; better a role, which renews itself',
    }
  if (UNKNOWN_KEY.includes(name))
    return {
      kind: 'wrong-keys',
      detail: `AWS does not know these credentials (${name}: ${words})`,
      advice:
        'check AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN: keys that were deleted, belong to another partition, or are temporary without their session token',
    }
  if (BAD_SIGNATURE.includes(name))
    return {
      kind: 'wrong-keys',
      detail: `AWS does not accept the signature (${name}: ${words})`,
      advice: 'check AWS_SECRET_ACCESS_KEY, and the clock',
    }
  if (name === 'AccessDenied' && /sts:AssumeRole/.test(words)) return roleDenied(words, credentials)
  if (name === 'AccessDenied' || name === 'AccessDeniedException')
    return {
      kind: 'denied',
      detail: `AWS denies it: ${words}`,
      advice:
        "allow it in the policies of the mirror's role, and look for an explicit Deny or a service control policy",
    }
  if (kind !== 'other')
    return { kind: 'unreachable', detail: `${service} cannot be reached: ${detail}`, advice: ifUnreachable }
  return {
    kind: 'other',
    detail: `${service} answered ${name === '' ? 'with an error' : name}: ${words}`,
    advice: 'look at AWS_ENDPOINT_URL and its like, and at what a proxy on the way makes of the answer',
  }
}

function noCredentials(words: string, { profile }: CredentialSettings): AwsProblem {
  if (profile !== undefined)
    return {
      kind: 'no-credentials',
      detail: `profile ${profile} gives no AWS credentials: ${words}`,
      advice: `look at [${profile}] in ~/.aws/config and ~/.aws/credentials of the user that the mirror runs as, or where AWS_CONFIG_FILE points`,
    }
  return {
    kind: 'no-credentials',
    detail: `no AWS credentials were found: ${words}`,
    advice:
      'give the mirror a role (instance, ECS task, EKS service account), set credentials.profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; in a container on EC2 the metadata hop limit has to be 2',
  }
}

function roleDenied(words: string, { roleArn, externalId }: CredentialSettings): AwsProblem {
  const role = roleArn ?? 'the role'
  const external =
    externalId === undefined
      ? 'if it asks for an external id, set credentials.externalId'
      : 'check that credentials.externalId is the one that it asks for'
  return {
    kind: 'role',
    detail: `${role} may not be assumed: ${words}`,
    advice: `its trust policy has to name the mirror's own identity, whose policies have to allow sts:AssumeRole on it; ${external}`,
  }
}
