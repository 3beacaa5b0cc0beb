import { OciError } from '../oci/error.js'
import { parseRepository, type Repository } from '../oci/reference.js'
import { parseEcrHost } from './ecr-host.js'
import type { Upstream, UpstreamSettings } from './upstream.js'

/** What of an upstream the table goes by. */
export interface Selectable {
  readonly name: string
  readonly settings: Pick<
    UpstreamSettings,
    'host' | 'default' | 'repositoryPrefix' | 'serves' | 'credentials'
  >
}

/** The upstream that a request means. */
export interface Selection<U extends Selectable = Upstream> {
  readonly upstream: U
  /** The name with the upstream's segment taken off; undefined when the request has none. */
  readonly repository: Repository | undefined
  /** The first path segment, when it named the upstream; it goes before every name that is told the client. */
  readonly segment: string | undefined
}

export interface SelectRequest {
  /** The `ns` query parameter. */
  readonly ns?: string | undefined
  /** The Host header. */
  readonly host?: string | undefined
  readonly name?: Repository | undefined
}

export interface UpstreamTable<U extends Selectable = Upstream> {
  readonly all: readonly U[]
  byName(name: string): U | undefined
  /** The upstream that lists the name of a Host header among those that it serves. */
  serving(host: string): U | undefined
  select(request: SelectRequest): Selection<U> | OciError
}

/**
 * Which upstream a request means: the `ns` parameter, then the Host header, then the first path segment, then the
 * default. Throws when two upstreams claim the same name.
 */
export function createUpstreamTable<U extends Selectable>(upstreams: readonly U[]): UpstreamTable<U> {
  const names = tableOf(upstreams, upstream => [upstream.name.toLowerCase()], 'name')
  const served = tableOf(
    upstreams,
    upstream => (upstream.settings.serves ?? []).map(withoutDefaultPort),
    'served name',
  )
  const hosts = hostOwners(upstreams)
  const byHost = (host: string): U | undefined => hosts.get(host) ?? served.get(host)
  const fallback =
    upstreams.length === 1 ? upstreams[0] : upstreams.find(upstream => upstream.settings.default)

  function select({ ns, host, name }: SelectRequest): Selection<U> | OciError {
    if (ns !== undefined) {
      const upstream = byHost(withoutDefaultPort(ns))
      return upstream ? { upstream, repository: name, segment: undefined } : unknownRegistry()
    }
    // The port in a Host header is the mirror's own.
    const hosted = host === undefined ? undefined : (byHost(host.toLowerCase()) ?? byHost(withoutPort(host)))
    if (hosted) return { upstream: hosted, repository: name, segment: undefined }
    return (name !== undefined && selectBySegment(name)) || selectDefault(name)
  }

  function selectBySegment(name: Repository): Selection<U> | OciError | undefined {
    const slash = name.indexOf('/')
    const segment = slash < 0 ? name : name.slice(0, slash)
    const upstream = names.get(segment) ?? hosts.get(segment)
    if (upstream && slash >= 0)
      return { upstream, repository: parseRepository(name.slice(slash + 1)), segment }
    // Only what can be nothing but a registry of ECR; ghcr.io/app may well be a repository.
    return !upstream && parseEcrHost(segment) ? unknownRegistry() : undefined
  }

  function selectDefault(name: Repository | undefined): Selection<U> | OciError {
    if (fallback) return { upstream: fallback, repository: name, segment: undefined }
    const known = upstreams.map(upstream => upstream.name).join(', ')
    return new OciError(
      'NAME_UNKNOWN',
      `This mirror has no default registry. Put one of its registries before the repository: ${known}.`,
    )
  }

  return {
    all: upstreams,
    byName: name => names.get(name.toLowerCase()),
    serving: host => served.get(host.toLowerCase()) ?? served.get(withoutPort(host)),
    select,
  }
}

/** Of upstreams that share a host, the one without a repository prefix owns it; nobody when that does not decide. */
function hostOwners<U extends Selectable>(upstreams: readonly U[]): ReadonlyMap<string, U> {
  const hostOf = (upstream: U): string => upstream.settings.host.toLowerCase()
  const plain = upstreams.filter(upstream => !upstream.settings.repositoryPrefix)
  const alone = upstreams.filter(one =>
    upstreams.every(other => other === one || hostOf(other) !== hostOf(one)),
  )
  return tableOf(
    [...new Set([...plain, ...alone])],
    upstream => [hostOf(upstream)],
    'host without a repositoryPrefix',
  )
}

function tableOf<U extends Selectable>(
  upstreams: readonly U[],
  keysOf: (upstream: U) => readonly string[],
  what: string,
): ReadonlyMap<string, U> {
  const table = new Map<string, U>()
  for (const upstream of upstreams) {
    for (const key of keysOf(upstream)) {
      if (table.has(key)) throw new Error(`Two upstreams have the ${what} ${key}.`)
      table.set(key, upstream)
    }
  }
  return table
}

function unknownRegistry(): OciError {
  return new OciError('NAME_UNKNOWN', 'This mirror does not serve that registry.')
}

function withoutDefaultPort(host: string): string {
  return host.toLowerCase().replace(/:(?:80|443)$/, '')
}

function withoutPort(host: string): string {
  return host.toLowerCase().replace(/:\d+$/, '')
}
