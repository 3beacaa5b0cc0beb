import { parseEcrHost, type PrivateEcrHost } from '../upstream/ecr-host.js'
import type { Upstream } from '../upstream/upstream.js'

/** Upstreams that share an AWS identity and a region, and by that a token. */
export interface CredentialGroup {
  /** Of the upstreams, for people. */
  readonly names: string
  /** At least one; what is true of its credentials is true of all. */
  readonly upstreams: readonly [Upstream, ...Upstream[]]
  /** Undefined for a registry that has no region of its own, such as ECR Public. */
  readonly ecr: PrivateEcrHost | undefined
}

/** The upstreams by their credentials and region, in the order of the configuration. */
export function credentialGroups(upstreams: readonly Upstream[]): CredentialGroup[] {
  const groups = new Map<string, [Upstream, ...Upstream[]]>()
  for (const upstream of upstreams) {
    const key = keyOf(upstream)
    const group = groups.get(key)
    if (group) group.push(upstream)
    else groups.set(key, [upstream])
  }
  return [...groups.values()].map(group => ({
    names: group.map(({ name }) => name).join(', '),
    upstreams: group,
    ecr: privateHostOf(group[0]),
  }))
}

function keyOf(upstream: Upstream): string {
  const ecr = privateHostOf(upstream)
  const { host, apiEndpoint, credentials = {} } = upstream.settings
  const { profile, roleArn, externalId, sessionName } = credentials
  const place = ecr ? [ecr.region, ecr.fips, ecr.dualStack] : [host]
  return JSON.stringify([...place, apiEndpoint, profile, roleArn, externalId?.reveal(), sessionName])
}

function privateHostOf({ settings }: Upstream): PrivateEcrHost | undefined {
  const ecr = parseEcrHost(settings.host)
  return ecr?.kind === 'private' ? ecr : undefined
}
