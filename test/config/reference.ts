import { configurationSchema, configurationTable } from '../../src/config/reference.js'

export const SCHEMA_FILE = 'config/mirror.schema.json'

export function schemaText(): string {
  return `${JSON.stringify(configurationSchema(), undefined, 2)}\n`
}

const TABLE = /^\| Key \| Default \|.*\n(?:\|.*\n)*/m

/** The README with the table of all keys as it has to be. */
export function readmeWithTable(readme: string): string {
  if (!TABLE.test(readme)) throw new Error('The README has no table of keys.')
  return readme.replace(TABLE, () => `${configurationTable()}\n`)
}
