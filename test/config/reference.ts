import { fileURLToPath } from 'node:url'
import { format, resolveConfig } from 'prettier'
import { configurationSchema, configurationTable } from '../../src/config/reference.js'

export const SCHEMA_FILE = 'config/mirror.schema.json'

export async function schemaText(): Promise<string> {
  const style = await resolveConfig(fileURLToPath(new URL(`../../${SCHEMA_FILE}`, import.meta.url)))
  return format(JSON.stringify(configurationSchema()), { ...style, parser: 'json' })
}

const TABLE = /^\| Key \| Default \|.*\n(?:\|.*\n)*/m

/** The README with the table of all keys as it has to be. */
export function readmeWithTable(readme: string): string {
  if (!TABLE.test(readme)) throw new Error('The README has no table of keys.')
  return readme.replace(TABLE, () => `${configurationTable()}\n`)
}
