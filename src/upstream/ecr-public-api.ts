import type { ECRPUBLICClient } from '@aws-sdk/client-ecr-public'
import { z } from 'zod'
import { Secret } from '../secret.js'
import { untilAborted } from '../until-aborted.js'
import {
  authorizationTokenOf,
  credentialsOf,
  REQUEST_HANDLER,
  type CredentialSettings,
} from './aws-client.js'
import { discard } from './discard.js'
import type { PublicEcrHost } from './ecr-host.js'
import type { IssuedToken } from './ecr-token.js'
import { createDispatcher, type DispatcherOptions } from './egress.js'
import { OWN_HEADERS } from './headers.js'
import { readBody } from './read-body.js'
import { MalformedToken, problemOf } from './token-problem.js'

export interface EcrPublicApiSettings {
  readonly ecr: PublicEcrHost
  /** The registry's origin, which gives out the bearer tokens, where the operator named another than its host. */
  readonly endpoint?: string | undefined
  readonly credentials: CredentialSettings
  /** The URL of the ECR Public API; otherwise AWS's own rules. */
  readonly apiEndpoint: string | undefined
  readonly connections?: Partial<DispatcherOptions> | undefined
  /** Milliseconds for one token, with everything on the way to it. */
  readonly deadline?: number
}

/** ECR Public's API is in this region alone (AWS: "Amazon ECR Public endpoints and quotas"). */
const REGION = 'us-east-1'

/** As much of the token endpoint's answer as is looked at, in bytes. */
const MAX_ANSWER = 256 * 1024

/** How long a bearer token is held that does not say how long it lives, in milliseconds; a refused one is renewed. */
const ASSUMED_LIFE = 60 * 60 * 1000

/** Distribution's token specification, "Token Response Fields". */
const BearerToken = z.object({
  token: z.string().regex(/^[\x21-\x7e]{1,131072}$/),
  expires_in: z.number().positive().optional(),
})

/**
 * Bearer tokens of ECR Public: by AWS credentials where there are any, which allows pushes and more pulls, else
 * anonymous. AWS: "Registry authentication in Amazon ECR public".
 */
export function createEcrPublicApi({
  ecr,
  endpoint,
  credentials,
  apiEndpoint,
  connections,
  deadline = 15_000,
}: EcrPublicApiSettings): { issueToken(): Promise<IssuedToken>; close(): void } {
  let client: ECRPUBLICClient | undefined
  const origin = endpoint === undefined ? `https://${ecr.host}` : new URL(endpoint).origin
  const registry = createDispatcher({
    ...connections,
    servername: ecr.host,
    trustOf: () => (endpoint === undefined ? 'public' : 'listed'),
  })
  const mayBeAnonymous = credentials.profile === undefined && credentials.roleArn === undefined

  /** What shows the token endpoint who asks; undefined for nobody in particular. */
  async function identity(abortSignal: AbortSignal): Promise<string | undefined> {
    // Loaded where it is wanted, which is in few mirrors.
    const { ECRPUBLICClient, GetAuthorizationTokenCommand } = await import('@aws-sdk/client-ecr-public')
    client ??= new ECRPUBLICClient({
      region: REGION,
      requestHandler: REQUEST_HANDLER,
      ...(apiEndpoint !== undefined && { endpoint: apiEndpoint }),
      ...credentialsOf(REGION, credentials),
    })
    try {
      const answer = await untilAborted(
        client.send(new GetAuthorizationTokenCommand({}), { abortSignal }),
        abortSignal,
      )
      return `Basic ${authorizationTokenOf(answer.authorizationData)}`
    } catch (error) {
      if (mayBeAnonymous && problemOf(error) === 'no-credentials') return undefined
      throw error
    }
  }

  return {
    async issueToken() {
      const signal = AbortSignal.timeout(deadline)
      const authorization = await identity(signal)
      const { statusCode, body } = await registry.request({
        origin,
        path: '/token/?service=public.ecr.aws&scope=aws',
        method: 'GET',
        headers: { ...OWN_HEADERS, host: ecr.host, ...(authorization !== undefined && { authorization }) },
        signal,
      })
      if (statusCode !== 200) {
        discard(body)
        throw new MalformedToken(`The token endpoint of ECR Public answered ${statusCode}.`)
      }
      return bearerOf((await readBody(body, MAX_ANSWER))?.toString('utf8') ?? '')
    },
    close() {
      client?.destroy()
      void registry.destroy()
    },
  }
}

function bearerOf(text: string): IssuedToken {
  const { success, data } = BearerToken.safeParse(parsedOf(text))
  if (!success) throw new MalformedToken('The token endpoint of ECR Public answered without a token.')
  const life = data.expires_in === undefined ? ASSUMED_LIFE : data.expires_in * 1000
  return { authorization: new Secret(`Bearer ${data.token}`), expiresAt: new Date(Date.now() + life) }
}

function parsedOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
