import { z } from 'zod'
import { ENVIRONMENT_FORMS } from './environment.js'
import { outline, type Outline } from './outline.js'
import { settingsSchema } from './schema.js'

type JsonSchema = z.core.JSONSchema.JSONSchema

/**
 * The configuration file's JSON Schema (draft 2020-12), for editors. It knows keys and kinds of values; what a text has
 * to look like is only in what the mirror itself says.
 */
export function configurationSchema(): JsonSchema {
  const schema = z.toJSONSchema(settingsSchema, {
    io: 'input',
    // What is transformed is described by what it is made from.
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      delete jsonSchema['path']
      delete jsonSchema['secret']
    },
  })
  // What is left out of the file may come from the environment.
  delete schema.required
  return { ...schema, title: 'Configuration of ecr-mirror' }
}

/** All keys as the rows of a Markdown table: key, default, environment form, meaning. */
export function configurationTable(): string {
  const rows = rowsOf(outline, configurationSchema(), '')
  return ['| Key | Default | Environment | Meaning |', '|---|---|---|---|', ...rows].join('\n')
}

function rowsOf(at: Outline, schema: JsonSchema, prefix: string): string[] {
  return [...at.keys].flatMap(([name, inner]) => {
    const key = prefix === '' ? name : `${prefix}.${name}`
    const described = schemaOf(schema.properties?.[name])
    const cells = [code(key), byDefault(described), environment(key), meaning(inner, described)]
    const row = `|${cells.map(cell => ` ${cell} `.replace('  ', ' ')).join('|')}|`
    if (inner.kind === 'mapping') return [row, ...rowsOf(inner, described, key)]
    if (inner.item?.kind !== 'mapping') return [row]
    return [row, ...rowsOf(inner.item, itemOf(described), `${key}[]`)]
  })
}

function byDefault({ default: value }: JsonSchema): string {
  if (value === undefined || (typeof value === 'object' && !Array.isArray(value))) return ''
  return code(value === '' ? "''" : typeof value === 'string' ? value : JSON.stringify(value))
}

function environment(key: string): string {
  const form = ENVIRONMENT_FORMS.find(({ path }) => path.join('.') === key.replace('tls[]', 'tls'))
  if (!form) return ''
  return `${code(form.name)}${form.kind === 'json' ? ' (JSON)' : ''}${form.file ? ' (`_FILE`)' : ''}`
}

function meaning({ description = '' }: Outline, described: JsonSchema): string {
  const text = description.replace(/\.$/, '').replaceAll('|', '\\|')
  const several = schemaOf(described.items).enum
  if (several) return `${text}: ${several.map(code).join(', ')}`
  return described.enum ? `${text}; one of ${described.enum.map(code).join(', ')}` : text
}

function itemOf(schema: JsonSchema): JsonSchema {
  const list = schema.anyOf?.map(schemaOf).find(({ type }) => type === 'array') ?? schema
  return schemaOf(list.items)
}

function schemaOf(schema: JsonSchema['items'] | JsonSchema['not']): JsonSchema {
  return typeof schema === 'object' && !Array.isArray(schema) ? schema : {}
}

function code(value: unknown): string {
  return `\`${String(value)}\``
}
