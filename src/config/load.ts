import { access, readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { impossibleCombinations } from './combinations.js'
import { ConfigError } from './config-error.js'
import { parseLayer } from './document.js'
import { CONFIG_VARIABLE, readEnvironment, reasonOf, type Environment } from './environment.js'
import { explain, problemLine, type Problem } from './explain.js'
import type { ListenAddress } from './fields.js'
import { readFlags, type Flags } from './flags.js'
import { isMapping, layerOf, overlay, valueAt, type Layer, type Path } from './layer.js'
import { settingsSchema, type Config, type PlainUser, type Settings } from './schema.js'
import { parseEcrHost } from '../upstream/ecr-host.js'

export const DEFAULT_CONFIG_FILE = '/etc/ecr-mirror/mirror.yaml'

export interface ConfigSources {
  readonly env: Environment
  readonly flags: Flags
  /** Read when neither flag nor environment names a file, if it exists. */
  readonly defaultFile?: string
  /** For commands to which nobody logs in: there need be no users. */
  readonly withoutUsers?: boolean
}

export interface LoadedConfig {
  readonly config: Config
  /** The configuration file as it was named, or undefined when there is none. */
  readonly file: string | undefined
}

/**
 * The configuration: flags beat environment, environment beats file, and the schema's defaults fill the rest.
 * Throws a ConfigError with one line for each thing that is wrong.
 */
export async function loadConfig(sources: ConfigSources): Promise<LoadedConfig> {
  const { file, layers, plainUsers } = await readLayers(sources)
  return { config: validate(layers, plainUsers, sources), file }
}

interface Layers {
  readonly file: string | undefined
  /** From the weakest to the strongest. */
  readonly layers: readonly [Layer, ...Layer[]]
  readonly plainUsers: readonly PlainUser[]
}

async function readLayers(sources: ConfigSources): Promise<Layers> {
  const file = await configFile(sources)
  const { layer, plainUsers } = await readEnvironment(sources.env)
  const layers: [Layer, ...Layer[]] = [layer, readFlags(sources.flags)]
  if (file !== undefined) layers.unshift(await readLayer(file))
  return { file, layers, plainUsers }
}

async function configFile({
  env,
  flags,
  defaultFile = DEFAULT_CONFIG_FILE,
}: ConfigSources): Promise<string | undefined> {
  const named = flags.config ?? env[CONFIG_VARIABLE]
  if (named !== undefined && named !== '') return named
  const exists = await access(defaultFile).then(
    () => true,
    (error: unknown) => reasonOf(error) !== 'ENOENT',
  )
  return exists ? defaultFile : undefined
}

async function readLayer(file: string): Promise<Layer> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new ConfigError([`${file}: cannot be read: ${reasonOf(error)}`])
  })
  const layer = parseLayer(text, file, dirname(resolve(file)))
  if (isMapping(layer.data)) return layer
  throw new ConfigError([`${layer.locate([])}: found no mapping, expected keys such as listen: 0.0.0.0:5000`])
}

function validate(
  layers: readonly [Layer, ...Layer[]],
  plainUsers: readonly PlainUser[],
  { env, withoutUsers = false }: ConfigSources,
): Config {
  const refuse = (problems: readonly Problem[]): never => {
    throw new ConfigError(problems.map(problem => problemLine(problem, layers)))
  }
  const data = layers.map(layer => layer.data).reduce(overlay)
  const result = settingsSchema.safeParse(data)
  if (!result.success) return refuse(explain(result.error.issues, data, layers))
  const settings = withApiEndpoint(withOnlyUpstreamAsDefault(result.data), env)
  const problems = impossibleCombinations(settings, plainUsers, !withoutUsers)
  if (problems.length > 0) return refuse(problems)
  return deepFreeze(withAbsolutePaths(settings, plainUsers, data, layers))
}

/**
 * Where the operations port of a mirror with these settings is; nothing else of them has to be right, since a health
 * check is started without the flags that the mirror itself was given. Throws a ConfigError.
 */
export async function loadOperationsAddress(sources: ConfigSources): Promise<ListenAddress> {
  const { layers } = await readLayers(sources)
  const data = layers.map(layer => layer.data).reduce(overlay)
  const result = settingsSchema
    .pick({ operations: true })
    .safeParse({ operations: valueAt(data, ['operations']) ?? {} })
  if (result.success) return result.data.operations.listen
  throw new ConfigError(
    explain(result.error.issues, data, layers).map(problem => problemLine(problem, layers)),
  )
}

function withOnlyUpstreamAsDefault(settings: Settings): Settings {
  const [first, ...others] = settings.upstreams
  return first && others.length === 0 ? { ...settings, upstreams: [{ ...first, default: true }] } : settings
}

/** AWS's own variables for another endpoint, as the SDK would read them; the SDK itself refuses them along with FIPS. */
function withApiEndpoint(settings: Settings, env: Environment): Settings {
  const upstreams = settings.upstreams.map(upstream => {
    const isPublic = parseEcrHost(upstream.host)?.kind === 'public'
    const own = isPublic ? env.AWS_ENDPOINT_URL_ECR_PUBLIC : env.AWS_ENDPOINT_URL_ECR
    const apiEndpoint = own ?? env.AWS_ENDPOINT_URL
    return apiEndpoint === undefined ? upstream : { apiEndpoint, ...upstream }
  })
  return { ...settings, upstreams }
}

function withAbsolutePaths(
  settings: Settings,
  plain: readonly PlainUser[],
  data: unknown,
  layers: readonly [Layer, ...Layer[]],
): Config {
  const absolute = (path: Path, value: string): string => resolve(layerOf(layers, path).directory, value)
  const tlsAt = (index: number): Path => (Array.isArray(valueAt(data, ['tls'])) ? ['tls', index] : ['tls'])
  const { htpasswd } = settings.users
  const { cache } = settings
  return {
    ...settings,
    ...(cache && { cache: { ...cache, directory: absolute(['cache', 'directory'], cache.directory) } }),
    ...(settings.audit && { audit: { file: absolute(['audit', 'file'], settings.audit.file) } }),
    users: {
      ...(htpasswd === undefined ? {} : { htpasswd: absolute(['users', 'htpasswd'], htpasswd) }),
      plain,
    },
    tls: settings.tls.map(({ certificate, key, clientCa }, index) => ({
      certificate: absolute([...tlsAt(index), 'certificate'], certificate),
      key: absolute([...tlsAt(index), 'key'], key),
      ...(clientCa === undefined ? {} : { clientCa: absolute([...tlsAt(index), 'clientCa'], clientCa) }),
    })),
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner)
    Object.freeze(value)
  }
  return value
}

/** The files whose change means that the configuration is another one. */
export function filesBehind({ config, file }: LoadedConfig): string[] {
  const certificates = config.tls.flatMap(({ certificate, key, clientCa }) => [certificate, key, clientCa])
  return [file, config.users.htpasswd, ...certificates].filter(each => each !== undefined)
}
