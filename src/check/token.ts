import { AwsCause } from '../upstream/aws-cause.js'
import type { CredentialGroup } from './credential-groups.js'
import { awsProblemOf } from './aws-problem.js'
import { failed, ok, type Finding } from './finding.js'

const REACH_API =
  'check the way to the ECR API: apiEndpoint or AWS_ENDPOINT_URL_ECR if one is set, else api.ecr.<region>.amazonaws.com (network, VPC endpoint ecr.api); the AWS SDK does not use HTTPS_PROXY'

/** Whether there is a token for the registries of a region, and until when. */
export async function checkToken(
  { names, upstreams: [upstream] }: CredentialGroup,
  signal: AbortSignal,
): Promise<Finding> {
  const name = `token of ${names}`
  try {
    await upstream.tokens.current(signal)
    const { expiresIn = 0 } = upstream.tokens.state()
    const until = new Date(Date.now() + expiresIn)
    return ok(
      name,
      `got, valid until ${until.toISOString().slice(0, 'yyyy-mm-ddThh:mm'.length)}Z (${hours(expiresIn)})`,
    )
  } catch (error) {
    const cause: unknown = signal.aborted ? signal.reason : saidBehind(error)
    return refusal(name, cause, upstream.settings.credentials ?? {})
  }
}

/** What AWS said is behind what a client would be told. */
function saidBehind(error: unknown): unknown {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  return cause instanceof AwsCause ? cause.error : cause
}

function refusal(name: string, cause: unknown, credentials: Parameters<typeof awsProblemOf>[1]): Finding {
  const problem = awsProblemOf(cause, credentials, 'the ECR API', REACH_API)
  if (problem.kind === 'denied')
    return failed(
      name,
      problem.detail,
      'allow ecr:GetAuthorizationToken on resource * in the policy of that identity (README, AWS permissions)',
    )
  if (cause instanceof Error && (cause.name === 'MalformedToken' || cause.name === 'SyntaxError'))
    return failed(
      name,
      `what answers in place of the ECR API gives no token: ${cause.message}`,
      'check apiEndpoint and AWS_ENDPOINT_URL_ECR; an endpoint of the registry (ecr.dkr) is not one of the API (ecr.api)',
    )
  return failed(name, problem.detail, problem.advice)
}

function hours(ms: number): string {
  return ms >= 3_600_000 ? `${(ms / 3_600_000).toFixed(1)} h` : `${Math.round(ms / 60_000)} min`
}
