/** Why there is no new token. */
export const TOKEN_PROBLEMS = [
  'no-credentials',
  'denied',
  'refused',
  'throttled',
  'timeout',
  'unreachable',
  'malformed',
  'failed',
] as const

export type TokenProblem = (typeof TOKEN_PROBLEMS)[number]

/** An answer of the ECR API that has no usable token in it. */
export class MalformedToken extends Error {
  override readonly name = 'MalformedToken'
}

/** The names that the AWS SDK's errors have, and the codes of the system's. */
const BY_NAME: Readonly<Record<string, TokenProblem>> = {
  CredentialsProviderError: 'no-credentials',
  TokenProviderError: 'no-credentials',
  AccessDeniedException: 'denied',
  AccessDenied: 'denied',
  ExpiredToken: 'refused',
  ExpiredTokenException: 'refused',
  IncompleteSignature: 'refused',
  InvalidClientTokenId: 'refused',
  InvalidIdentityToken: 'refused',
  InvalidSignatureException: 'refused',
  RequestExpired: 'refused',
  SignatureDoesNotMatch: 'refused',
  UnrecognizedClientException: 'refused',
  Throttling: 'throttled',
  ThrottlingException: 'throttled',
  TooManyRequestsException: 'throttled',
  AbortError: 'timeout',
  RequestTimeout: 'timeout',
  TimeoutError: 'timeout',
  MalformedToken: 'malformed',
  SyntaxError: 'malformed',
  ECONNREFUSED: 'unreachable',
  ECONNRESET: 'unreachable',
  EAI_AGAIN: 'unreachable',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  ENOTFOUND: 'unreachable',
  EPIPE: 'unreachable',
  ETIMEDOUT: 'unreachable',
}

/** What an error of the AWS SDK comes to. */
export function problemOf(error: unknown): TokenProblem {
  if (!(error instanceof Error)) return 'failed'
  const code: unknown = 'code' in error ? error.code : undefined
  return (typeof code === 'string' && BY_NAME[code]) || BY_NAME[error.name] || 'failed'
}

const WHAT_TO_CHECK: Readonly<Record<TokenProblem, string>> = {
  'no-credentials':
    'it has no AWS credentials. Give it a role, a profile or keys that the AWS default chain finds',
  denied:
    "its AWS role lacks ecr:GetAuthorizationToken on *, or may not be assumed. Check the role's policies",
  refused: 'AWS refuses its credentials as wrong or expired. Check them, and that its clock is right',
  throttled: 'AWS limits the rate of its calls. It tries again by itself',
  timeout:
    'AWS did not answer in time. Check the way from the mirror to the ECR API, and to STS if it assumes a role',
  unreachable: 'it cannot reach AWS. Check its way to the ECR API (network, proxy, VPC endpoint ecr.api)',
  malformed: 'what it took for the ECR API gave no token. Check apiEndpoint and AWS_ENDPOINT_URL_ECR',
  failed: 'the call for one failed. Its log says why',
}

/** For people, by way of their registry client. */
export function explain(problem: TokenProblem): string {
  return `ecr-mirror has no ECR token: ${WHAT_TO_CHECK[problem]}.`
}
