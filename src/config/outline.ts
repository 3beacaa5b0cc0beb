import { z } from 'zod'
import type { Path } from './layer.js'
import { settingsSchema } from './schema.js'

/** What the schema says about one key, as far as other ways to write it and error messages need it. */
export interface Outline {
  readonly kind: 'mapping' | 'list' | 'text' | 'number' | 'boolean' | 'record'
  /** Of a mapping or a record: its keys. */
  readonly keys: ReadonlyMap<string, Outline>
  /** Of a list: its items. */
  readonly item?: Outline
  /** Of a list: one item may stand for it. */
  readonly single: boolean
  readonly secret: boolean
  readonly path: boolean
  readonly description: string | undefined
}

/** The schema as a tree of keys. */
export const outline: Outline = outlineOf(settingsSchema)

/** The outline of what stands at `path`, or undefined when the schema does not know it. */
export function outlineAt(path: Path): Outline | undefined {
  let current: Outline | undefined = outline
  for (const key of path) {
    // Where one or a list may stand, the outline is that of the list.
    if (typeof key === 'number') current = current?.item
    else current = (current?.kind === 'list' ? current.item : current)?.keys.get(key)
  }
  return current
}

function outlineOf(schema: z.core.$ZodType): Outline {
  const meta = z.globalRegistry.get(schema)
  const inner = withoutWrapping(schema)
  if (inner) {
    const found = outlineOf(inner)
    return {
      ...found,
      single: found.single || schema instanceof z.ZodUnion,
      secret: found.secret || meta?.secret === true,
      path: found.path || meta?.path === true,
      description: meta?.description ?? found.description,
    }
  }
  const base = {
    keys: new Map<string, Outline>(),
    single: false,
    secret: meta?.secret === true,
    path: meta?.path === true,
    description: meta?.description,
  }
  if (schema instanceof z.ZodObject) {
    const shape: Readonly<Record<string, z.core.$ZodType>> = schema.shape
    const keys = new Map(Object.entries(shape).map(([key, value]) => [key, outlineOf(value)]))
    return { ...base, kind: 'mapping', keys }
  }
  if (schema instanceof z.ZodArray) return { ...base, kind: 'list', item: outlineOf(schema.element) }
  if (schema instanceof z.ZodRecord) {
    const names = schema.keyType instanceof z.ZodEnum ? schema.keyType.options.map(String) : []
    const value = outlineOf(schema.valueType)
    return { ...base, kind: 'record', keys: new Map(names.map(name => [name, value])) }
  }
  if (schema instanceof z.ZodNumber) return { ...base, kind: 'number' }
  if (schema instanceof z.ZodBoolean) return { ...base, kind: 'boolean' }
  return { ...base, kind: 'text' }
}

/** What a wrapping schema (a default, an option, a transformation, one or a list) is about. */
function withoutWrapping(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodPipe) return schema.in
  if (schema instanceof z.ZodUnion) return schema.options.find(option => option instanceof z.ZodArray)
  if (
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodExactOptional
  ) {
    return schema.unwrap()
  }
  return undefined
}
