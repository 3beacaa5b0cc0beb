import type { Config } from '../config/schema.js'
import { loadConfig } from '../config/load.js'
import type { Flags } from '../config/flags.js'
import { listImages, type CachedImage, type ImageVariant } from '../store/images.js'
import type { Scope } from '../store/scope.js'
import { hostInKey, registryKey } from '../upstream/registry-key.js'
import { lookAtCache } from './cache-view.js'
import { inUnits } from './in-units.js'
import type { Surroundings } from './surroundings.js'

/** An image as `--json` tells of it. */
interface Row {
  readonly image: string
  readonly digest: string
  readonly platform: string | undefined
  /** In bytes. */
  readonly size: number
  readonly complete: boolean
  readonly missing: ImageVariant['missing']
}

/** Prints what is in the cache, and whether each image and platform is complete. Only looks. Throws a ConfigError. */
export async function printImages(
  { json = false, ...flags }: Flags & { readonly json?: boolean },
  { env, stdout }: Surroundings,
): Promise<void> {
  const { config } = await loadConfig({ env, flags, withoutUsers: true })
  const rows: Row[] = []
  for await (const image of imagesIn(config)) rows.push(...rowsOf(image, config))
  if (json) {
    stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`)
    return
  }
  if (rows.length === 0) {
    stdout.write('No image is cached yet. Pull one through the mirror, or: ecr-mirror warm IMAGE\n')
    return
  }
  stdout.write(table(rows))
}

/** Every image of which something is cached, as it is now. Times are compared with `now`. */
export async function* imagesIn(config: Config, now: () => number = Date.now): AsyncGenerator<CachedImage> {
  yield* listImages(await lookAtCache(config, now))
}

function rowsOf({ scope, tag, digest, variants }: CachedImage, config: Config): Row[] {
  const image = `${nameOf(scope, config)}${tag === undefined ? `@${digest}` : `:${tag}`}`
  if (variants.length === 0) {
    const missing = [{ digest, size: undefined, what: 'bytes' }] as const
    return [{ image, digest, platform: undefined, size: 0, complete: false, missing }]
  }
  return variants.map(({ platform, size, missing }) => ({
    image,
    digest,
    platform,
    size,
    complete: missing.length === 0,
    missing,
  }))
}

/** As clients name it after the mirror's address: by the upstream's name, or its host where that is configured no more. */
export function nameOf({ registry, repository }: Scope, { upstreams }: Config): string {
  const [owner] = upstreams
    .filter(
      ({ repositoryPrefix, ...settings }) =>
        registryKey(settings) === registry &&
        (repositoryPrefix === '' || repository.startsWith(`${repositoryPrefix}/`)),
    )
    .sort((a, b) => b.repositoryPrefix.length - a.repositoryPrefix.length)
  if (!owner) return `${hostInKey(registry)}/${repository}`
  const { name, repositoryPrefix } = owner
  return `${name}/${repositoryPrefix === '' ? repository : repository.slice(repositoryPrefix.length + 1)}`
}

function table(rows: readonly Row[]): string {
  const cells = rows.map((row, index) => [
    rows[index - 1]?.image === row.image ? '' : row.image,
    row.platform ?? '-',
    inUnits(row.size),
    stateOf(row),
  ])
  const lines = [['IMAGE', 'PLATFORM', 'SIZE', 'STATE'], ...cells]
  const widths = [0, 1, 2].map(column => Math.max(...lines.map(line => line[column]?.length ?? 0)))
  return lines
    .map(
      line =>
        `${line
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

function stateOf({ complete, missing }: Row): string {
  if (complete) return 'complete'
  const absent = missing.filter(({ what }) => what === 'bytes')
  if (absent.length === 0 && missing.some(({ what }) => what === 'unknown'))
    return 'unknown: it has a manifest that is not understood, or layers that may be elsewhere'
  if (absent.length === 0) return 'all there, but not asked about for too long to be served without ECR'
  const size = absent.reduce((sum, each) => sum + (each.size ?? 0), 0)
  return `lacks ${absent.length} of its parts${size > 0 ? ` (${inUnits(size)})` : ''}`
}
