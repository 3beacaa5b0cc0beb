import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { ConfigError } from './config-error.js'
import { parseLayer } from './document.js'
import { overlay, type Layer, type Path } from './layer.js'
import { notYetInEnvironment } from './not-yet.js'
import { outline, type Outline } from './outline.js'
import type { PlainUser } from './schema.js'
import { parsePlainUsers } from './plain-users.js'
import { suggestion } from './suggestion.js'

const PREFIX = 'ECR_MIRROR_'
const USERS = `${PREFIX}USERS`
/** The name of the configuration file, which is not a setting of its own. */
export const CONFIG_VARIABLE = `${PREFIX}CONFIG`
/** What Kubernetes injects where there is a Service called ecr-mirror. */
const OF_KUBERNETES = /^ECR_MIRROR_(?:SERVICE_|PORT)/

export type Environment = Readonly<Record<string, string | undefined>>

/** How one setting is written as an environment variable. */
export interface EnvironmentForm {
  readonly name: string
  readonly path: Path
  readonly kind: 'text' | 'number' | 'boolean' | 'list' | 'json'
  /** Whether the value may also be in a file that `<name>_FILE` names. */
  readonly file: boolean
}

/** Every setting that has an environment form, as the schema has them. */
export const ENVIRONMENT_FORMS: readonly EnvironmentForm[] = formsOf(outline, [])

function formsOf(at: Outline, path: Path): EnvironmentForm[] {
  if (at.kind === 'mapping') return [...at.keys].flatMap(([key, inner]) => formsOf(inner, [...path, key]))
  const form = { name: PREFIX + path.join('_').toUpperCase(), path, file: at.secret }
  if (at.kind === 'list') {
    if (at.item?.kind !== 'mapping') return [{ ...form, kind: 'list' }]
    return at.single ? formsOf(at.item, path) : [{ ...form, kind: 'json' }]
  }
  return at.kind === 'record' ? [{ ...form, kind: 'json' }] : [{ ...form, kind: at.kind }]
}

/** What the environment says: settings, and users for a quick start. */
export interface EnvironmentSettings {
  readonly layer: Layer
  readonly plainUsers: readonly PlainUser[]
}

/** Reads the ECR_MIRROR_* variables. An empty one counts as not set. Throws a ConfigError. */
export async function readEnvironment(env: Environment): Promise<EnvironmentSettings> {
  const set = new Map<string, string>()
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith(PREFIX) && value !== undefined && value !== '') set.set(name, value)
  }
  const unknown = [...set.keys()].filter(name => !isKnown(name))
  if (unknown.length > 0) throw new ConfigError(unknown.map(explainUnknown))

  let data: unknown = {}
  const sources: Source[] = []
  for (const form of ENVIRONMENT_FORMS) {
    const given = await valueOf(form.name, form.file, set)
    if (!given) continue
    const json = form.kind === 'json' ? parseLayer(given.text, given.name, '.') : undefined
    data = overlay(data, nested(form.path, json ? json.data : typed(given.text, form.kind)))
    sources.push({ name: given.name, path: form.path, ...(json ? { json } : {}) })
  }
  const users = await valueOf(USERS, true, set)
  return { layer: layerFrom(data, sources), plainUsers: users ? parsePlainUsers(users.text, users.name) : [] }
}

interface Source {
  readonly name: string
  readonly path: Path
  readonly json?: Layer
}

function layerFrom(data: unknown, sources: readonly Source[]): Layer {
  const sourceOf = (path: Path): Source | undefined =>
    sources.find(source => source.path.every((key, index) => path[index] === key))
  return {
    data,
    directory: '.',
    locate: (path, key) => {
      const source = sourceOf(path)
      return source?.json?.locate(path.slice(source.path.length), key) ?? source?.name ?? 'configuration'
    },
    writtenAt: path => {
      const source = sourceOf(path)
      return source?.json?.writtenAt?.(path.slice(source.path.length))
    },
  }
}

function isKnown(name: string): boolean {
  return name === CONFIG_VARIABLE || OF_KUBERNETES.test(name) || knownNames().includes(name)
}

function knownNames(): string[] {
  const settings = ENVIRONMENT_FORMS.flatMap(({ name, file }) => (file ? [name, `${name}_FILE`] : [name]))
  return [...settings, USERS, `${USERS}_FILE`, CONFIG_VARIABLE]
}

function explainUnknown(name: string): string {
  const later = notYetInEnvironment(name.slice(PREFIX.length))
  return `${name}: ${
    later?.replace('take the key out', 'unset it') ??
    `unknown setting${suggestion(
      name.slice(PREFIX.length),
      knownNames().map(known => known.slice(PREFIX.length)),
    ).replace('mean ', `mean ${PREFIX}`)}`
  }`
}

/** The text of a variable or of the file that its `_FILE` names, with the name of the one that was given. */
async function valueOf(
  name: string,
  mayBeFile: boolean,
  set: ReadonlyMap<string, string>,
): Promise<{ readonly name: string; readonly text: string } | undefined> {
  const text = set.get(name)
  const file = mayBeFile ? set.get(`${name}_FILE`) : undefined
  if (text !== undefined && file !== undefined)
    throw new ConfigError([`${name}: found ${name}_FILE too, expected one of them`])
  if (text !== undefined) return { name, text }
  if (file === undefined) return undefined
  try {
    return { name: `${name}_FILE`, text: (await readFile(resolve(file), 'utf8')).trim() }
  } catch (error) {
    throw new ConfigError([`${name}_FILE: cannot read ${file}: ${reasonOf(error)}`])
  }
}

/** The short reason of a failed system call, such as ENOENT. */
export function reasonOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason'
}

/** Text of the wrong form stays text, for the schema to refuse. */
function typed(text: string, kind: EnvironmentForm['kind']): unknown {
  if (kind === 'list')
    return text
      .split(',')
      .map(item => item.trim())
      .filter(item => item !== '')
  if (kind === 'number' && /^-?\d+(?:\.\d+)?$/.test(text)) return Number(text)
  if (kind === 'boolean' && /^(?:true|false)$/.test(text)) return text === 'true'
  return text
}

function nested(path: Path, value: unknown): unknown {
  return path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value)
}
