import { authorize, REFUSALS } from './authorize.js'
import { createBlobSource, type BlobSource } from './blob-source.js'
import type { CredentialSettings } from './aws-client.js'
import type { RepositoryTemplate } from './ecr-api.js'
import { layerBucketHosts, parseEcrHost, PUBLIC_LAYER_HOSTS, type EcrHost } from './ecr-host.js'
import type { TokenSource } from './ecr-token.js'
import { createDispatcher, type DispatcherOptions } from './egress.js'
import { observe } from './observe.js'
import { UNOBSERVED, type UpstreamObserver } from './observer.js'
import { Pools, type PoolUse } from './pools.js'
import { watchReachability, type Reachability } from './reachability.js'
import { createRedirectRules } from './redirect-rules.js'
import { repositoryCreation, type CreateRepository } from './repository-creation.js'
import { retry } from './retry.js'
import type { Send } from './send.js'
import { DEFAULT_QUOTAS, type Quotas, type Throttles } from './throttle.js'
import type { TokenSources } from './token-sources.js'
import { transport } from './transport.js'

/** One configured upstream, checked for form. */
export interface UpstreamSettings {
  readonly name: string
  /** Of a registry of ECR. */
  readonly host: string
  readonly default?: boolean | undefined
  readonly repositoryPrefix?: string | undefined
  readonly serves?: readonly string[] | undefined
  readonly credentials?: CredentialSettings | undefined
  /** A URL to connect to instead of https on `host`. */
  readonly endpoint?: string | undefined
  /** The URL of the ECR API. */
  readonly apiEndpoint?: string | undefined
  readonly redirectHosts?: readonly string[] | undefined
  /** Requests per second; what is left out has ECR's default. */
  readonly quotas?: Quotas | undefined
  /** Left out: a push into a repository that is missing is refused. */
  readonly createRepositories?: CreateRepositories | undefined
}

/** Which repositories a push creates, and how. */
export interface CreateRepositories extends RepositoryTemplate {
  /** Patterns of names as clients know them. */
  readonly match: readonly string[]
}

/** A registry on the far side. */
export interface Upstream {
  readonly name: string
  readonly settings: UpstreamSettings
  readonly ecr: EcrHost
  /** Put before every repository, with a slash between; empty for none. */
  readonly repositoryPrefix: string
  readonly send: Send
  readonly blobs: BlobSource
  readonly tokens: TokenSource
  /** Undefined where pushes create no repositories. */
  readonly createRepository: CreateRepository | undefined
  readonly reachability: Reachability
  /** How its connections are used, an entry for each origin. */
  connections(): PoolUse[]
  /** Ends its requests and connections. */
  close(): Promise<void>
}

/** What upstreams share, and what tests set. */
export interface UpstreamDeps {
  readonly tokens: TokenSources
  readonly throttles: Throttles
  /** How long opening a blob may take before an answer begins, in milliseconds. */
  readonly blobPatience?: number
  /** A token younger than this, in milliseconds, is not renewed for being refused. */
  readonly renewAfter?: number
  /** Who is told what goes on between the mirror and the upstream of a name. */
  readonly observe?: (upstream: string) => UpstreamObserver
  readonly connections?: Pick<
    DispatcherOptions,
    'timeout' | 'connections' | 'headersTimeout' | 'bodyTimeout' | 'ca' | 'lookup'
  >
}

/** Makes the way to one registry. Opens no connection. Throws when the host is not one it can serve. */
export function createUpstream(settings: UpstreamSettings, deps: UpstreamDeps): Upstream {
  const { name } = settings
  const ecr = hostOf(settings)
  const endpoint = settings.endpoint === undefined ? undefined : new URL(settings.endpoint)
  const origin = endpoint?.origin ?? `https://${ecr.host}`

  const observer = deps.observe?.(name) ?? UNOBSERVED
  const pools = [new Pools(), new Pools()] as const
  const registry = createDispatcher({
    ...deps.connections,
    observer,
    pools: pools[0],
    servername: ecr.host,
    // A private registry may be at a VPC endpoint.
    trustOf: () => (endpoint ? 'listed' : ecr.kind),
  })
  const rules = createRedirectRules(
    settings.redirectHosts,
    ecr.kind === 'private' ? layerBucketHosts(ecr) : PUBLIC_LAYER_HOSTS,
  )
  const storage = createDispatcher({
    ...deps.connections,
    observer,
    pools: pools[1],
    trustOf: (host, port) => rules.trustOf(host, port),
    reuseBuffers: true,
  })
  // The first that has to be closed again, after all that may throw.
  const tokens = deps.tokens.open({
    ecr,
    credentials: settings.credentials ?? {},
    apiEndpoint: settings.apiEndpoint,
    endpoint: settings.endpoint,
    connections: deps.connections,
  })
  const authorized = authorize(tokens, {
    upstream: name,
    refusals: REFUSALS[ecr.kind],
    onRenewed: () => observer.retried('token'),
    ...(deps.renewAfter !== undefined && { renewAfter: deps.renewAfter }),
  })(observe(observer)(transport({ upstream: name, origin, host: ecr.host, dispatcher: registry })))
  const { step: watch, reachability } = watchReachability()
  const send = watch(
    retry({ onRetry: reason => observer.retried(reason) })(
      deps.throttles.of(ecr.host, settings.quotas, DEFAULT_QUOTAS[ecr.kind])(authorized),
    ),
  )
  const blobs = createBlobSource({
    upstream: name,
    origin,
    send,
    storage,
    rules,
    observer,
    ...(deps.blobPatience !== undefined && { patience: deps.blobPatience }),
  })

  return {
    name,
    settings,
    ecr,
    repositoryPrefix: settings.repositoryPrefix ?? '',
    send,
    blobs,
    tokens,
    createRepository:
      ecr.kind === 'private' && settings.createRepositories && tokens.createRepository
        ? repositoryCreation({
            upstream: name,
            ecr,
            template: settings.createRepositories,
            api: { createRepository: tokens.createRepository },
          })
        : undefined,
    reachability,
    connections: () => pools.flatMap(each => each.use()),
    async close() {
      tokens.close()
      await Promise.all([registry.destroy(), storage.destroy()])
    },
  }
}

function hostOf({ name, host }: UpstreamSettings): EcrHost {
  const ecr = parseEcrHost(host)
  if (ecr) return ecr
  throw new Error(`The upstream "${name}" has the host ${host}, which is not one of an ECR registry.`)
}
