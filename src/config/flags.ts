import { parseEcrHost } from '../upstream/ecr-host.js'
import type { Layer } from './layer.js'

/** The settings that the command line can give; undefined is not given. */
export interface Flags {
  readonly config?: string | undefined
  /** ECR hosts; they take the place of all configured upstreams, and the first is the default. */
  readonly registry?: readonly string[] | undefined
  readonly listen?: string | undefined
  readonly cache?: string | undefined
  readonly logLevel?: string | undefined
}

const FLAG_OF: Readonly<Record<string, string>> = {
  upstreams: '--registry',
  listen: '--listen',
  cache: '--cache',
  log: '--log-level',
}

/** The flags as settings. */
export function readFlags(flags: Flags): Layer {
  const registries = flags.registry ?? []
  return {
    data: {
      ...(registries.length > 0 ? { upstreams: registries.map(upstreamFor) } : {}),
      ...(flags.listen === undefined ? {} : { listen: flags.listen }),
      ...(flags.cache === undefined ? {} : { cache: { directory: flags.cache } }),
      ...(flags.logLevel === undefined ? {} : { log: { level: flags.logLevel } }),
    },
    directory: '.',
    locate: path => (typeof path[0] === 'string' ? FLAG_OF[path[0]] : undefined) ?? 'command line',
  }
}

function upstreamFor(host: string, index: number): { name: string; host: string; default: boolean } {
  return { name: registryName(host), host, default: index === 0 }
}

/**
 * What a registry of `--registry` is called: `<account>-<region>`, so that the same account in two regions has two
 * names, `-fips` after it for a FIPS endpoint, and `public` for ECR Public.
 */
function registryName(host: string): string {
  const ecr = parseEcrHost(host)
  if (ecr?.kind === 'private') return `${ecr.account}-${ecr.region}${ecr.fips ? '-fips' : ''}`
  return ecr ? 'public' : 'registry'
}
