import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { parse, stringify } from 'yaml'
import { ENVIRONMENT_FORMS } from '../src/config/environment.js'
import { loadConfig } from '../src/config/load.js'
import { outline, type Outline } from '../src/config/outline.js'
import { ECR_ACTIONS } from '../src/upstream/ecr-action.js'
import { runClient } from './clients/support/run-client.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const readme = await readFile(`${root}README.md`, 'utf8')
const decisions = await readdir(`${root}docs/decisions`)

interface PackageJson {
  readonly scripts: Record<string, string>
  readonly dependencies: Record<string, string>
  readonly engines: { readonly node: string }
}
const packageJson = JSON.parse(await readFile(`${root}package.json`, 'utf8')) as PackageJson

t.test('its table has every key of the schema with its environment form, and no other', async t => {
  const documented = configurationTable().map(({ key, environment }) => `${key} ${environment}`.trim())
  t.same(documented, keysOf(outline, '').map(describe))
})

t.test('the defaults in its table are those of the schema', async t => {
  const defaults = configurationTable().filter(row => row.byDefault !== '')
  t.ok(defaults.length >= 10)
  const minimal = {
    users: { htpasswd: 'users.htpasswd' },
    cache: { directory: 'cache' },
    upstreams: [
      { name: 'one', host: '123456789012.dkr.ecr.us-east-1.amazonaws.com', default: true },
      { name: 'two', host: '123456789012.dkr.ecr.eu-west-1.amazonaws.com' },
    ],
  }
  const unchanged = await configOf(t, minimal)
  for (const { key, byDefault } of defaults) {
    const settings = structuredClone(minimal) as Record<string, unknown>
    const path = key.replace('upstreams[]', 'upstreams.1').split('.')
    const last = path.pop() ?? ''
    const parent = path.reduce<Record<string, unknown>>(
      (at, step) => (at[step] ??= {}) as Record<string, unknown>,
      settings,
    )
    parent[last] = parse(byDefault)
    t.same(await configOf(t, settings), unchanged, key)
  }
})

t.test(
  'its IAM policies are policies, name actions that the mirror uses, and give * to the token alone',
  async t => {
    const used: readonly string[] = ECR_ACTIONS.map(action => `ecr:${action}`)
    const granted = new Set<string>()
    for (const text of blocks('json')) {
      const policy = JSON.parse(text) as {
        Version: string
        Statement: { Effect: string; Action: string | string[]; Resource: string }[]
      }
      t.equal(policy.Version, '2012-10-17')
      for (const { Effect, Action, Resource } of policy.Statement) {
        t.equal(Effect, 'Allow')
        const actions = [Action].flat()
        for (const action of actions) granted.add(action)
        if (Resource === '*') t.same(actions, ['ecr:GetAuthorizationToken'])
        else t.match(Resource, /^arn:aws:ecr:us-east-1:123456789012:repository\//)
      }
    }
    const missing = used.filter(action => !granted.has(action))
    t.same(missing, ['ecr:BatchDeleteImage'], 'only deleting is left to the text')
    t.same(
      [...granted].filter(action => !used.includes(action)),
      [],
    )
  },
)

t.test('it names every decision', async t => {
  t.ok(decisions.length >= 5)
  for (const file of decisions) t.match(readme, `docs/decisions/${file}`)
})

t.test('every room of the source is in its architecture', async t => {
  const rooms = (await readdir(`${root}src`, { withFileTypes: true })).filter(each => each.isDirectory())
  const described = [...readme.matchAll(/^\| \[src\/([\w-]+)\]\(src\/\1\)/gm)].map(([, room]) => room)
  t.same(described.sort(), rooms.map(({ name }) => name).sort())
})

t.test('every production dependency has its reason', async t => {
  const reasons = section('Dependencies').match(/(?<=^\| `)[^`]+/gm) ?? []
  t.same([...reasons].sort(), Object.keys(packageJson.dependencies).sort())
})

t.test('the commands and scripts it names exist', async t => {
  const scripts = [...readme.matchAll(/\bnpm run ([\w:-]+)/g)].map(([, name = '']) => name)
  t.ok(scripts.length >= 3)
  for (const name of scripts) t.hasOwnProp(packageJson.scripts, name)

  const help = await helpOf([])
  const commands = [
    ...readme.replace(section('Troubleshooting'), '').matchAll(/(?:`|\| |^)ecr-mirror ([a-z][a-z-]+)/gm),
  ].map(([, name = '']) => name)
  t.ok(commands.length >= 3)
  for (const name of commands) t.match(help, new RegExp(`^  ${name}\\b`, 'm'))
  const serve = await helpOf(['serve'])
  for (const [flag] of readme.matchAll(/(?<=(?:serve|`)[^\n`]*)--(?:registry|config|listen|log-level)\b/g)) {
    t.match(serve, flag)
  }
  t.match(readme, packageJson.engines.node.replace('>=', ''), 'and the oldest Node.js it runs on')
})

t.test('the messages under Troubleshooting are those of the source', async t => {
  const source = await sourceText()
  const messages = section('Troubleshooting').match(/(?<=^\| `)[^`]+/gm) ?? []
  t.ok(messages.length >= 15)
  const ours = messages.filter(message => message !== 'server gave HTTP response to HTTPS client')
  for (const message of ours) t.ok(source.includes(message), message)
})

t.test('the error it shows for an unknown key is the one that comes', async t => {
  const [, line = ''] = /`(mirror\.yaml:\d+:\d+ limits\.[^`]+)`/.exec(readme) ?? []
  const directory = t.testdir({
    'mirror.yaml': 'users: { htpasswd: users.htpasswd }\nlimits:\n  drainTimout: 25s\nupstreams: []\n',
  })
  const said = await output(['serve', '--config', `${directory}/mirror.yaml`])
  t.ok(line !== '' && said.includes(line), said)
})

t.test('the settings that docker-compose.yml gives are settings, of the stand-in as it is built', async t => {
  const { services } = parse(await readFile(`${root}docker-compose.yml`, 'utf8')) as {
    services: Record<'mirror' | 'try', { environment: Record<string, string | null> }>
  }
  const settings = (of: 'mirror' | 'try') =>
    Object.fromEntries(Object.entries(services[of].environment).map(([name, value]) => [name, value ?? '']))
  const { config } = await loadConfig({ env: settings('try'), flags: {}, defaultFile: '' })
  const standIn = await readFile(`${root}test/ecr/main.ts`, 'utf8')
  const [upstream] = config.upstreams
  for (const place of [upstream?.endpoint, upstream?.apiEndpoint, ...(upstream?.redirectHosts ?? [])])
    t.match(standIn, `default: '${place?.split(':').at(-1) ?? 'missing'}'`)
  await t.resolves(
    loadConfig({ env: settings('mirror'), flags: { config: `${root}config/minimal.yaml` } }),
    'on top of the file that its comment says to copy',
  )
})

t.test('the ports it promises are the defaults', async t => {
  const { config } = await loadConfig({
    env: { ECR_MIRROR_USERS: 'ci:change-me' },
    flags: { registry: ['123456789012.dkr.ecr.us-east-1.amazonaws.com'] },
    defaultFile: '',
  })
  t.match(config, {
    listen: [{ host: '0.0.0.0', port: 5000 }],
    operations: { listen: { host: '127.0.0.1', port: 5001 } },
  })
})

interface Row {
  readonly key: string
  readonly byDefault: string
  readonly environment: string
}

function configurationTable(): Row[] {
  return [...section('Configuration').matchAll(/^\| `([^`]+)` \|([^|]*)\|([^|]*)\|/gm)].map(
    ([, key = '', byDefault = '', environment = '']) => ({
      key,
      byDefault: byDefault.trim().replaceAll('`', ''),
      environment: environment.trim().replaceAll('`', ''),
    }),
  )
}

/** Keys as the table writes them: `upstreams[].name`. */
function keysOf(at: Outline, prefix: string): string[] {
  return [...at.keys].flatMap(([name, inner]) => {
    const key = prefix === '' ? name : `${prefix}.${name}`
    if (inner.kind === 'mapping') return [key, ...keysOf(inner, key)]
    return inner.item?.kind === 'mapping' ? [key, ...keysOf(inner.item, `${key}[]`)] : [key]
  })
}

function describe(key: string): string {
  const form = ENVIRONMENT_FORMS.find(({ path }) => path.join('.') === key.replace('tls[]', 'tls'))
  if (!form) return key
  return `${key} ${form.name}${form.kind === 'json' ? ' (JSON)' : ''}${form.file ? ' (_FILE)' : ''}`
}

async function configOf(t: Test, settings: object) {
  const directory = t.testdir({ 'mirror.yaml': stringify(settings) })
  return (await loadConfig({ env: {}, flags: { config: `${directory}/mirror.yaml` } })).config
}

function section(title: string): string {
  const [, text = ''] = readme.split(`\n## ${title}\n`)
  return text.split(/^## /m)[0] ?? ''
}

function blocks(language: string): string[] {
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(
    ([, text = '']) => text,
  )
}

async function sourceText(): Promise<string> {
  const files = await readdir(`${root}src`, { recursive: true })
  const texts = files.filter(file => file.endsWith('.ts')).map(file => readFile(`${root}src/${file}`, 'utf8'))
  return (await Promise.all(texts)).join('\n')
}

function helpOf(command: string[]): Promise<string> {
  return output([...command, '--help'])
}

/** What the command line says, on either stream. */
async function output(args: string[]): Promise<string> {
  return (await runClient(process.execPath, [`${root}dist/main.js`, ...args])).output
}
