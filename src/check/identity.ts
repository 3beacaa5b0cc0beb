import { REQUEST_HANDLER, credentialsOf } from '../upstream/aws-client.js'
import type { PrivateEcrHost } from '../upstream/ecr-host.js'
import { untilAborted } from '../until-aborted.js'
import { awsProblemOf, type AwsProblem } from './aws-problem.js'
import { readClock, type ClockReading } from './clock.js'
import { sourceOf, type CredentialSource } from './credential-source.js'
import type { CredentialGroup } from './credential-groups.js'
import { failed, ok, skipped, warning, type Finding } from './finding.js'

const REACH_STS =
  'check the way to sts.<region>.amazonaws.com (network, VPC endpoint sts) and AWS_ENDPOINT_URL_STS; the AWS SDK does not use HTTPS_PROXY'

/** What says that credentials are no good; anything else keeps only STS from telling whose they are. */
const ABOUT_CREDENTIALS: readonly AwsProblem['kind'][] = [
  'no-credentials',
  'expired',
  'wrong-keys',
  'role',
  'clock',
]

export interface CheckedIdentity {
  readonly finding: Finding
  /** AWS's clock, if it answered. */
  readonly clock: ClockReading | undefined
}

/** Whose AWS credentials the upstreams use, as STS tells, and where they come from. */
export async function checkIdentity(group: CredentialGroup, signal: AbortSignal): Promise<CheckedIdentity> {
  const name = `identity of ${group.names}`
  const { ecr } = group
  if (!ecr)
    return {
      finding: skipped(name, 'a registry without a region asks for no identity of its own'),
      clock: undefined,
    }
  const caller = await createCaller(ecr, group)
  const { settings } = group.upstreams[0]
  const credentials = settings.credentials ?? {}
  let source: CredentialSource | undefined
  try {
    source = sourceOf(await untilAborted(caller.credentials(), signal), credentials)
    const arn = await untilAborted(caller.arn(signal), signal)
    return { finding: ok(name, `${arn}, from ${source.text}`), clock: caller.clock() }
  } catch (error) {
    const cause: unknown = signal.aborted ? signal.reason : error
    const problem = awsProblemOf(cause, credentials, 'STS', REACH_STS)
    const needless = !ABOUT_CREDENTIALS.includes(problem.kind) && source?.bySts === false
    const finding = needless
      ? warning(
          name,
          `credentials from ${source?.text ?? 'somewhere'}; whose they are is not known, since ${problem.detail}`,
          `nothing, if no role is to be assumed: the mirror needs STS for that alone. Else ${REACH_STS}`,
        )
      : failed(name, problem.detail, problem.advice)
    return { finding, clock: caller.clock() }
  } finally {
    caller.close()
  }
}

interface Caller {
  /** The credentials, of which only the marks of their source may be looked at. */
  credentials(): Promise<unknown>
  /** Of whose they are. Fails with the SDK's errors. */
  arn(signal: AbortSignal): Promise<string>
  clock(): ClockReading | undefined
  close(): void
}

async function createCaller({ region }: PrivateEcrHost, { upstreams }: CredentialGroup): Promise<Caller> {
  // Loaded where it is wanted: no other command asks STS itself.
  const { STSClient, GetCallerIdentityCommand } = await import('@aws-sdk/client-sts')
  const client = new STSClient({
    region,
    maxAttempts: 2,
    requestHandler: REQUEST_HANDLER,
    ...credentialsOf(region, upstreams[0].settings.credentials ?? {}),
  })
  let clock: ClockReading | undefined
  client.middlewareStack.add(
    next => async args => {
      const output = await next(args)
      clock ??= readClock('AWS (STS)', dateOf(output.response))
      return output
    },
    { step: 'deserialize', priority: 'low', name: 'readClock' },
  )
  return {
    credentials: () => client.config.credentials(),
    async arn(signal) {
      const { Arn: arn } = await client.send(new GetCallerIdentityCommand({}), { abortSignal: signal })
      return arn ?? 'an identity without a name'
    },
    clock: () => clock,
    close: () => client.destroy(),
  }
}

function dateOf(response: unknown): unknown {
  if (typeof response !== 'object' || response === null || !('headers' in response)) return undefined
  const { headers } = response
  return typeof headers === 'object' && headers !== null && 'date' in headers ? headers.date : undefined
}
