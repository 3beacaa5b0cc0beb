import type { Test } from 'tap'
import { startEcr, type Ecr, type EcrOptions } from '../../ecr/ecr.js'
import { startDistribution } from './distribution.js'
import type { Command } from './required-packages.js'

/** A registry behind the mirror, with the API that has its tokens. */
export interface FarSide {
  /** A URL: the registry. */
  readonly url: string
  /** The stand-in for ECR: the registry itself, or no more than the API of another one. */
  readonly ecr: Ecr
  /** Makes every token so far useless. */
  expireTokens(): void | Promise<void>
  /** The digest of an image as the registry itself has it. */
  digestOf(repository: string, tag: string): Promise<string | undefined>
  createRepository(name: string): void
  /** What is wrong with the requests that arrived; nothing, when all is well. */
  faults(): string[]
}

export type StartFarSide = (t: Test) => Promise<FarSide>

/** The stand-in for ECR, with all of ECR's oddities. */
export async function standIn(t: Test, options: EcrOptions = {}): Promise<FarSide> {
  const ecr = await startEcr(options)
  t.teardown(() => ecr.close())
  return {
    url: ecr.url,
    ecr,
    expireTokens: () => ecr.expireTokens(),
    digestOf: (repository, tag) => Promise.resolve(ecr.manifest(repository, tag)?.digest),
    createRepository: name => ecr.createRepository(name),
    faults: () =>
      noneOf(ecr.requests) ??
      ecr.requests.flatMap(({ at, method, url, host, headers }) => {
        const request = `${at} ${method} ${url}`
        return [
          ...(at === 'registry' && host !== ecr.host ? [`${request} has Host ${host}`] : []),
          ...(at === 's3' && headers.authorization !== undefined ? [`${request} has credentials`] : []),
          ...(at === 's3' && method !== 'GET' ? [`${request} is no GET`] : []),
          ...(at !== 'api' && !headers['user-agent']?.startsWith('ecr-mirror/')
            ? [`${request} comes from ${headers['user-agent'] ?? 'nobody'}`]
            : []),
        ]
      }),
  }
}

/** CNCF distribution, which knows nothing of ECR, as a second opinion on what the mirror sends. */
export async function distribution(t: Test): Promise<FarSide> {
  const ecr = await startEcr({ knobs: { tokenSize: SHORT_TOKEN } })
  t.teardown(() => ecr.close())
  const registry = await startDistribution(t)

  /** From now on the API gives out one token, and the registry takes that alone. */
  const renewToken = async (): Promise<void> => {
    const { authorizationToken, password } = ecr.token()
    const answer = { authorizationData: [{ authorizationToken, expiresAt: Date.now() / 1000 + 12 * 3600 }] }
    ecr.knobs.answer.GetAuthorizationToken = [
      {
        status: 200,
        headers: { 'Content-Type': 'application/x-amz-json-1.1' },
        body: JSON.stringify(answer),
        times: Number.MAX_SAFE_INTEGER,
      },
    ]
    await registry.setPassword('AWS', password)
  }
  await renewToken()

  return {
    url: registry.url,
    ecr,
    expireTokens: renewToken,
    digestOf: (repository, tag) => registry.digestOf(repository, tag),
    createRepository: () => undefined,
    faults: () =>
      noneOf(registry.requests()) ??
      registry.requests().flatMap(({ method, uri, host, agent }) => {
        const request = `${method} ${uri}`
        return [
          ...(host === ecr.host ? [] : [`${request} has Host ${host}`]),
          ...(agent.startsWith('ecr-mirror/') ? [] : [`${request} comes from ${agent}`]),
        ]
      }),
  }
}

function noneOf(requests: readonly unknown[]): string[] | undefined {
  return requests.length > 0 ? undefined : ['no request arrived']
}

/** Characters of a token whose password is within the 72 bytes that bcrypt looks at. */
const SHORT_TOKEN = 88

export const FAR_SIDES: readonly {
  readonly name: string
  readonly start: StartFarSide
  /** What it takes to run it. */
  readonly commands: readonly Command[]
  /** Whether the mirror in front of it keeps blobs. */
  readonly cached: boolean
}[] = [
  { name: 'the stand-in for ECR', start: t => standIn(t), commands: [], cached: false },
  { name: 'the stand-in for ECR, with a cache', start: t => standIn(t), commands: [], cached: true },
  { name: 'CNCF distribution', start: distribution, commands: ['docker-registry'], cached: false },
  {
    name: 'CNCF distribution, with a cache',
    start: distribution,
    commands: ['docker-registry'],
    cached: true,
  },
]
