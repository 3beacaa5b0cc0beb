/** `npm run reference`: writes what is generated from the configuration's schema where it belongs. */
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { readmeWithTable, SCHEMA_FILE, schemaText } from './reference.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
await writeFile(root + SCHEMA_FILE, await schemaText())
await writeFile(`${root}README.md`, readmeWithTable(await readFile(`${root}README.md`, 'utf8')))
