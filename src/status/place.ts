import { parseRepository } from '../oci/reference.js'
import { withoutPrefix } from '../registry/target.js'
import type { Scope } from '../store/scope.js'
import { registryKey } from '../upstream/registry-key.js'
import type { Upstream } from '../upstream/upstream.js'

/** A repository as clients and grants name it. */
export interface NamedPlace {
  /** The upstream's name. */
  readonly upstream: string
  readonly repository: string
}

/** What clients write after the mirror's address, whichever upstream is the default. */
export function placeText({ upstream, repository }: NamedPlace): string {
  return `${upstream}/${repository}`
}

/**
 * Where a cached repository is found: at the upstream of its registry with the longest prefix that it has. Undefined
 * where none is configured any more.
 */
export function placeOf(
  { registry, repository }: Scope,
  upstreams: readonly Pick<Upstream, 'name' | 'settings' | 'repositoryPrefix'>[],
): NamedPlace | undefined {
  const name = parseRepository(repository)
  const found = upstreams
    .filter(({ settings }) => registryKey(settings) === registry)
    .sort((a, b) => b.repositoryPrefix.length - a.repositoryPrefix.length)
    .map(upstream => ({ upstream: upstream.name, repository: name && withoutPrefix(upstream, name) }))
    .find(place => place.repository !== undefined)
  return found?.repository === undefined ? undefined : { ...found, repository: found.repository }
}
