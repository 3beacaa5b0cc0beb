import { appendFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hash as hashBcrypt } from '@node-rs/bcrypt'
import t, { type Test } from 'tap'
import { parse, stringify } from 'yaml'
import { startDockerdOn } from '../clients/support/dockerd.js'
import { succeed } from '../clients/support/run-client.js'
import { bareLine, commandsIn, type Documented } from './support/documented.js'
import { reachElsewhere } from './support/elsewhere.js'
import { freshCopy } from './support/fresh-copy.js'
import { npmEnvironment } from './support/npm-environment.js'
import { openTerminal, type Terminal } from './support/terminal.js'
import { NOT_RUN, WAYS, whyNotRun, type Way } from './support/ways.js'
import { HOST_OF_TEAM, needsWorld, startWorld, TEAM, type World } from './support/world.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

const DOCUMENTS = [
  'README.md',
  'SECURITY.md',
  'CONTRIBUTING.md',
  ...(await readdir(join(ROOT, 'docs'))).filter(name => name.endsWith('.md')).map(name => `docs/${name}`),
]

const documents = await Promise.all(
  DOCUMENTS.map(async name => {
    const text = await readFile(join(ROOT, name), 'utf8')
    return { name, text, ...commandsIn(text) }
  }),
)
const [readme] = documents
const all = documents.flatMap(({ commands }) => commands)

t.test('it is known of every block whether there are commands in it', async t => {
  for (const { name, unknown } of documents) t.same(unknown, [], name)
  t.ok(all.length >= 20)
})

t.test('what is said of single commands is said of commands that are there', async t => {
  const lines = new Set(all.flatMap(({ text }) => text.split('\n')).map(bareLine))
  for (const command of [...Object.keys(WAYS), ...NOT_RUN.flatMap(({ commands }) => commands)])
    t.ok(lines.has(command), command)
})

t.test(
  'every command of the documents runs as it stands, from a fresh copy',
  needsWorld('dockerd', 'docker', 'containerd', 'runc', 'skopeo'),
  async t => {
    const world = await startWorld(t)
    const copy = join(world.directory, 'ecr-mirror')
    await freshCopy(copy)
    await fillRegistries(world)
    await writeFile(join(copy, 'password.txt'), 'change-me\n')
    const DOCKER_HOST = await startDockerdOn(t, world.machine, join(world.directory, 'docker'))
    const linked = join(world.directory, 'npm')
    const env = { PATH: `${join(linked, 'bin')}:${process.env['PATH'] ?? ''}`, npm_config_prefix: linked }
    const elsewhere = await reachElsewhere(world, join(linked, 'bin'))
    const inside = {
      ...world.env,
      ...elsewhere,
      ...env,
      DOCKER_HOST,
      PASSWORD: 'change-me',
      npm_config_update_notifier: 'false',
    }

    for (const { name, commands } of documents) {
      for (const section of new Set(commands.map(each => each.section))) {
        await t.test(`${name}, ${section}`, async t => {
          const terminals = {
            inside: openTerminal(t, { directory: copy, env: inside, at: world.machine.command }),
            outside: openTerminal(t, {
              directory: copy,
              env: { ...npmEnvironment(), ...env, npm_config_prefer_offline: 'true' },
            }),
            example: openTerminal(t, {
              directory: join(world.directory, 'example'),
              // On Node.js 20 the AWS SDK warns of its age.
              env: { ...inside, NODE_NO_WARNINGS: '1' },
              at: world.machine.command,
            }),
          }
          for (const documented of commands.filter(each => each.section === section && !isRepeated(each)))
            for (const piece of piecesOf(documented)) await runPiece(t, world, terminals, documented, piece)
        })
        // Nothing is configured before it is installed; from then on the documents take it to be.
        if (section === 'The real start') await configure(world, copy)
      }
    }

    t.equal(
      configurationOf(world, '1.1'),
      configurationOf(world, '1.0'),
      'what docker pushed is the image that it had pulled',
    )
    const users = await readFile(join(copy, 'users.htpasswd'), 'utf8')
    t.match(users, /^ci:\$\S+\nci:\$\S+\n$/, 'a user has two lines, typed and piped')
    t.ok((await readdir(join(copy, 'rootfs'))).length > 0, 'the files of a client are written')
  },
)

/** A command in passing is run where it comes first. */
function isRepeated(documented: Documented): boolean {
  return documented.kind === 'passing' && all.find(({ text }) => text === documented.text) !== documented
}

interface Piece {
  readonly text: string
  readonly way: Way
  /** Why it is not run. */
  readonly because?: string
}

/** What is given to a shell at once: all of it, up to a line that is run otherwise or not at all. */
function piecesOf({ text }: Documented): Piece[] {
  const pieces: Piece[] = []
  let pending = ''
  const flush = (): void => {
    if (bareLine(pending.trim()) !== '') pieces.push({ text: pending, way: {} })
    pending = ''
  }
  for (const line of text.split('\n')) {
    const way = WAYS[bareLine(line)]
    const because = whyNotRun(bareLine(line))
    if (way === undefined && because === undefined) {
      pending += `${line}\n`
      continue
    }
    // What runs on does so in the shell of the lines before it.
    const before = way?.ready !== undefined && !way.outside ? pending : (flush(), '')
    pending = ''
    pieces.push({ text: `${before}${line}\n`, way: way ?? {}, ...(because !== undefined && { because }) })
  }
  flush()
  return pieces
}

async function runPiece(
  t: Test,
  { ecr }: World,
  terminals: Readonly<Record<'inside' | 'outside' | 'example', Terminal>>,
  { kind, shown, line }: Documented,
  { text, way, because }: Piece,
): Promise<void> {
  const name = `line ${line}: ${text.trim()}`
  if (because !== undefined) {
    t.pass(`${name}: not run, since ${because}`)
    return
  }
  const terminal = terminals[way.outside ? 'outside' : kind === 'example' ? 'example' : 'inside']
  if (way.ready) {
    const running = await terminal.start(text, way.ready)
    t.pass(`${name}: runs`)
    if (way.interrupted) await running.interrupt()
    return
  }
  if (way.denied) ecr.knobs.iamDenied[way.denied] = true
  const { code, output } = await terminal.run(text, way.typed)
  if (way.denied) ecr.knobs.iamDenied[way.denied] = false
  t.equal(code, way.code ?? 0, `${name}\n${output}`)
  if (kind === 'example')
    t.equal(withoutFigures(output), withoutFigures(shown), 'and prints what the document shows')
}

/** What differs from machine to machine is taken out. */
function withoutFigures(text: string): string {
  return text
    .replace(/\d+(?:\.\d+)?(?: [KMGT]iB)?/g, 'N')
    .replace(/(?<=: )(?:ext4|xfs|btrfs|tmpfs|overlay\w*|\w+fs),/g, 'fs,')
}

async function fillRegistries({ ecr }: World): Promise<void> {
  await ecr.putImage('team/app', '1.0', TEAM)
  await ecr.putImage('team/app', '0.9', { ...TEAM, label: 'older' })
  await ecr.putImage('docker-hub/library/node', '24', TEAM)
}

/** Writes the files that the documents take to be there, with what they show. */
async function configure({ machine, directory, env }: World, copy: string): Promise<void> {
  const [registries = '', ...others] = yamlIn(readme?.text ?? '')
  const { cache } = parse(others.find(each => /^cache:/m.test(each)) ?? '') as { cache: object }
  const etc = join(machine.etc, 'ecr-mirror')
  await writeFile(join(etc, 'mirror.yaml'), stringify({ ...(parse(registries) as object), cache }))
  await writeFile(join(etc, 'users.htpasswd'), `ci:${await hashBcrypt('change-me', 10)}\n`)
  await appendFile(join(copy, 'mirror.yaml'), 'publicUrl: https://mirror.internal\n')

  await mkdir(join(directory, 'example'))
  await writeFile(
    join(directory, 'example', 'mirror.yaml'),
    stringify({
      listen: '127.0.0.1:5000',
      users: { htpasswd: '/etc/ecr-mirror/users.htpasswd' },
      cache,
      upstreams: [{ name: 'main', host: HOST_OF_TEAM }],
    }),
  )
  const cached = join(directory, 'root', 'var', 'cache', 'ecr-mirror')
  await mkdir(cached, { mode: 0o700 })
  const warm = machine.command(process.execPath, join(copy, 'dist', 'main.js'), 'warm', 'team/app:0.9')
  const [command, ...args] = warm
  await succeed(command, args, { env })
}

function configurationOf({ ecr }: World, tag: string): string | undefined {
  const manifest = ecr.manifest('team/app', tag)
  return manifest && (JSON.parse(manifest.bytes.toString()) as { config: { digest: string } }).config.digest
}

function yamlIn(text: string): string[] {
  return [...text.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, yaml = '']) => yaml)
}
