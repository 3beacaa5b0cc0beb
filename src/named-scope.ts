import { OciError } from './oci/error.js'
import type { Repository } from './oci/reference.js'
import type { Scope } from './store/scope.js'
import { registryKey } from './upstream/registry-key.js'
import type { Selectable, UpstreamTable } from './upstream/upstream-table.js'

/** The repository that a name means. */
export interface NamedScope {
  readonly scope: Scope
  /** As this mirror always understands it: with the upstream's name before the repository's. */
  readonly fullName: string
  /** Whether the name itself says which upstream is meant. */
  readonly namesUpstream: boolean
}

/** The repository that clients mean by a name; undefined when it is none of a configured registry. */
export function namedScope<U extends Selectable>(
  table: UpstreamTable<U>,
  name: Repository,
): NamedScope | undefined {
  const selected = table.select({ name })
  if (selected instanceof OciError || selected.repository === undefined) return undefined
  const { upstream, repository, segment } = selected
  const { repositoryPrefix = '' } = upstream.settings
  return {
    scope: {
      registry: registryKey(upstream.settings),
      repository: repositoryPrefix === '' ? repository : `${repositoryPrefix}/${repository}`,
    },
    fullName: `${upstream.name}/${repository}`,
    namesUpstream: segment !== undefined,
  }
}

/** The same for a name from elsewhere, which has to say whose it is; else what is wrong with it. */
export function importedScope<U extends Selectable>(
  table: UpstreamTable<U>,
  name: Repository,
): Scope | string {
  const named = namedScope(table, name)
  if (named?.namesUpstream) return named.scope
  const known = table.all.map(upstream => upstream.name)
  const [upstream = ''] = name.split('/')
  return `no upstream of this mirror is called ${upstream}, only ${known.join(', ')}; put what is under ${upstream} under another one with --as-upstream ${known[0] ?? 'NAME'}, or name the image with --name`
}
