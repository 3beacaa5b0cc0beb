import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { parse } from 'yaml'
import { configurationSchema, configurationTable } from '../../src/config/reference.js'
import { readmeWithTable, SCHEMA_FILE, schemaText } from './reference.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const readme = await readFile(`${root}README.md`, 'utf8')
const accepts = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(configurationSchema())

t.test('the README’s table and the schema for editors are as the configuration is', async t => {
  t.equal(readmeWithTable(readme), readme, 'else: npm run reference')
  t.equal(await readFile(root + SCHEMA_FILE, 'utf8'), await schemaText(), 'else: npm run reference')
})

t.test('editors find nothing wrong with the examples', async t => {
  const examples = (await readdir(`${root}config`)).filter(name => name.endsWith('.yaml'))
  t.ok(examples.length >= 3)
  for (const name of examples) {
    accepts(parse(await readFile(`${root}config/${name}`, 'utf8')))
    t.same(accepts.errors, null, name)
  }
})

t.test('editors find unknown keys, wrong kinds and unknown choices', async t => {
  const upstreams = [{ name: 'main', host: 'public.ecr.aws' }]
  t.ok(accepts({ upstreams }))
  t.ok(accepts({ listen: '0.0.0.0:5000' }), 'upstreams may come from the environment')
  t.notOk(accepts({ upstreams, limits: { drainTimout: '25s' } }))
  t.notOk(accepts({ upstreams, limits: { maxRequests: 'many' } }))
  t.notOk(accepts({ upstreams, cache: { directory: 'cache', verify: 'sometimes' } }))
  t.notOk(accepts({ upstreams: [{ name: 'main' }] }))
})

t.test('no key is without a meaning', async t => {
  const [, , ...rows] = configurationTable().split('\n')
  t.ok(rows.length > 60)
  for (const row of rows) t.match(row, /\| \S[^|]*\|$/)
})
