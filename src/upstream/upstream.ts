import { authorize } from './authorize.js'
import { createBlobSource, type BlobSource } from './blob-source.js'
import type { CredentialSettings } from './ecr-api.js'
import { layerBucketHosts, parseEcrHost, type PrivateEcrHost } from './ecr-host.js'
import type { TokenSource } from './ecr-token.js'
import { createDispatcher, type DispatcherOptions } from './egress.js'
import { watchReachability, type Reachability } from './reachability.js'
import { createRedirectRules } from './redirect-rules.js'
import { retry } from './retry.js'
import type { Send } from './send.js'
import type { Quotas, Throttles } from './throttle.js'
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
}

/** A registry on the far side. */
export interface Upstream {
  readonly name: string
  readonly settings: UpstreamSettings
  readonly ecr: PrivateEcrHost
  /** Put before every repository, with a slash between; empty for none. */
  readonly repositoryPrefix: string
  readonly send: Send
  readonly blobs: BlobSource
  readonly tokens: TokenSource
  readonly reachability: Reachability
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
  readonly connections?: Pick<
    DispatcherOptions,
    'timeout' | 'connections' | 'headersTimeout' | 'bodyTimeout' | 'ca'
  >
}

/** Makes the way to one registry. Opens no connection. Throws when the host is not one it can serve. */
export function createUpstream(settings: UpstreamSettings, deps: UpstreamDeps): Upstream {
  const { name } = settings
  const ecr = privateHost(settings)
  const endpoint = settings.endpoint === undefined ? undefined : new URL(settings.endpoint)
  const origin = endpoint?.origin ?? `https://${ecr.host}`

  const registry = createDispatcher({
    ...deps.connections,
    servername: ecr.host,
    trustOf: () => (endpoint ? 'listed' : 'private'),
  })
  const tokens = deps.tokens.open(ecr, settings.credentials ?? {}, settings.apiEndpoint)
  const authorized = authorize(tokens, {
    upstream: name,
    ...(deps.renewAfter !== undefined && { renewAfter: deps.renewAfter }),
  })(transport({ upstream: name, origin, host: ecr.host, dispatcher: registry }))
  const { step: watch, reachability } = watchReachability()
  const send = watch(retry()(deps.throttles.of(ecr.host, settings.quotas)(authorized)))

  const rules = createRedirectRules(settings.redirectHosts, layerBucketHosts(ecr))
  const storage = createDispatcher({
    ...deps.connections,
    trustOf: (host, port) => rules.trustOf(host, port),
  })
  const blobs = createBlobSource({
    upstream: name,
    origin,
    send,
    storage,
    rules,
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
    reachability,
    async close() {
      tokens.close()
      await Promise.all([registry.destroy(), storage.destroy()])
    },
  }
}

function privateHost({ name, host }: UpstreamSettings): PrivateEcrHost {
  const ecr = parseEcrHost(host)
  if (ecr?.kind === 'private') return ecr
  throw new Error(
    ecr
      ? `The upstream "${name}" is ${ecr.host}, which this version cannot be a mirror of; only private ECR registries.`
      : `The upstream "${name}" has the host ${host}, which is not one of an ECR registry.`,
  )
}
