import type { Config } from './schema.js'

/** What ECR_MIRROR_REGISTRY and --registry call a registry, after its account; no repository is called so. */
const NAMED_BY_ACCOUNT = /^\d{12}-/

/**
 * Warnings about upstream names that hide repositories of the default registry: `<mirror>/team/app` means `app` of the
 * upstream `team`, never the default registry's `team/app`. With several upstreams there is always such a name; the only
 * one's name hides something where the configuration itself speaks of repositories under it.
 */
export function hiddenNames(config: Config): string[] {
  const { upstreams } = config
  const byDefault = upstreams.find(upstream => upstream.default)
  if (!byDefault) return []
  const hiding = upstreams
    .map(({ name }) => name)
    .filter(name => !NAMED_BY_ACCOUNT.test(name))
    .filter(name => upstreams.length > 1 || speaksOf(config, name))
  if (hiding.length === 0) return []
  const starts = hiding.map(name => `${name}/`).join(', ')
  const [example = ''] = hiding
  return [
    `repositories of the default upstream "${byDefault.name}" whose names begin with ${starts} are hidden, ` +
      `since that names an upstream: clients reach its ${example}/app as ${byDefault.name}/${example}/app`,
  ]
}

/** Whether a grant, or what pushes create, names repositories under a first segment. */
function speaksOf({ policy, upstreams }: Config, segment: string): boolean {
  const patterns = [
    ...(policy ?? []).flatMap(grant => grant.repositories ?? []),
    ...upstreams.flatMap(upstream => upstream.createRepositories?.match ?? []),
  ]
  return patterns.some(pattern => pattern.startsWith(`${segment}/`))
}
