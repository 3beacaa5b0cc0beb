import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeCertificate } from '../support/certificate.js'
import { runCommand } from '../support/run-command.js'

const ONE = '111111111111.dkr.ecr.us-east-1.amazonaws.com'
const OTHER = '222222222222.dkr.ecr.eu-west-1.amazonaws.com'
const CLIENTS = ['docker', 'containerd', 'podman', 'buildkit', 'kubernetes']
/** What quoting of any kind could damage. */
const ODD_PASSWORD = `a"b\\c$d'e \`f\` #: ü%`

interface Told {
  readonly files: readonly { readonly path: string; readonly mode: string; readonly content: string }[]
  readonly notes: readonly string[]
  readonly test: readonly string[]
}

/** Runs `client-config` for a mirror with these settings, with a password on standard input. */
async function clientConfig(
  t: Test,
  args: readonly string[],
  { settings = {}, input = '' }: { settings?: Record<string, unknown>; input?: string } = {},
) {
  const upstreams = [
    { name: 'one', host: ONE, default: true },
    { name: 'other', host: OTHER },
    { name: 'hub', host: ONE, repositoryPrefix: 'docker-hub', serves: ['docker.io', 'hub.mirror.internal'] },
  ]
  const directory = t.testdir({ 'mirror.json': JSON.stringify({ upstreams, ...settings }) })
  return runCommand(['client-config', ...args, '--config', join(directory, 'mirror.json')], { input })
}

async function told(t: Test, args: readonly string[], options = {}): Promise<Told> {
  const { code, out, err } = await clientConfig(t, [...args, '--json'], options)
  t.equal(code, 0, err)
  return JSON.parse(out) as Told
}

const AT = ['--url', 'https://mirror.internal', '--user', 'ci']

for (const client of CLIENTS) {
  t.test(`${client}: each file comes with its path, and what tries them`, async t => {
    const { out } = await clientConfig(t, [client, ...AT], { input: 'secret\n' })
    const { files, test } = await told(t, [client, ...AT], { input: 'secret\n' })
    t.ok(files.length > 0)
    for (const { path, content } of files) t.ok(out.includes(`# ==> ${path}\n${content}`), path)
    t.ok(test.length > 0)
    for (const command of test) t.ok(out.includes(command), command)
    t.notMatch(out, 'placeholder')
  })

  t.test(`${client}: an odd password arrives as it is`, async t => {
    const { files } = await told(t, [client, ...AT], { input: ODD_PASSWORD })
    t.ok(logins(files).length > 0)
    for (const login of logins(files)) t.equal(login, `ci:${ODD_PASSWORD}`)
    for (const { path, mode, content } of files)
      t.equal(mode, content.includes(base64(`ci:${ODD_PASSWORD}`)) ? '0600' : '0644', path)
  })

  t.test(`${client}: without a password a placeholder stands for it, and is said to be one`, async t => {
    const { files, notes } = await told(t, [client, ...AT])
    t.ok(logins(files).length > 0)
    for (const login of logins(files)) t.equal(login, 'ci:PASSWORD')
    t.match(notes[0], 'PASSWORD is a placeholder')
    t.ok(files.every(({ mode, content }) => mode === '0600' || !content.includes(base64('ci:PASSWORD'))))
  })

  t.test(`${client}: plain HTTP is said to be readable by others`, async t => {
    const { out } = await clientConfig(t, [client, '--url', 'http://10.0.0.7:5000'])
    t.match(out, /^# .*passwords and images travel in the clear/m)
  })
}

t.test('the upstreams are called as the mirror understands them', async t => {
  const { files } = await told(t, ['podman', ...AT])
  const pairs = [...(files[0]?.content ?? '').matchAll(/prefix = "(.*)"\nlocation = "(.*)"/g)]
  t.same(
    pairs.map(([, prefix, location]) => [prefix, location]),
    [
      [ONE, 'mirror.internal/one'],
      [OTHER, 'mirror.internal/other'],
      ['docker.io', 'mirror.internal/hub'],
      ['hub.mirror.internal', 'mirror.internal/hub'],
    ],
    'a host that two share belongs to the one without a prefix',
  )
})

t.test('the mirror is where --url says, else publicUrl, else where it listens', async t => {
  const tests = async (args: string[], settings: Record<string, unknown>) =>
    (await told(t, ['docker', ...args], { settings })).test[0]
  const listen = '127.0.0.1:5000'
  const publicUrl = 'https://public.internal'
  t.match(await tests(['--url', 'https://Mirror.internal:443/'], { publicUrl, listen }), ' mirror.internal/')
  t.match(await tests([], { publicUrl, listen }), ' public.internal/')
  t.match(await tests([], { listen: [listen, '0.0.0.0:80'] }), ' 127.0.0.1:5000/')
  for (const unusable of ['0.0.0.0:5000', '[::]:5000', '127.0.0.1:0']) {
    const { code, err } = await clientConfig(t, ['docker'], { settings: { listen: unusable } })
    t.equal(code, 2)
    t.match(err, 'give --url', unusable)
  }
})

t.test('who listens with a certificate is found at https, and its authority goes to clients', async t => {
  const directory = await emptyDirectory(t)
  const { pem, certificate, key } = makeCertificate(directory, '127.0.0.1')
  const { files, test } = await told(t, ['containerd'], {
    settings: { listen: '127.0.0.1:5000', tls: { certificate, key } },
  })
  t.equal(files.find(({ path }) => path.endsWith('127.0.0.1:5000/ca.crt'))?.content, pem)
  t.match(
    files.find(({ path }) => path.endsWith(`${ONE}/hosts.toml`))?.content,
    'server = "https://127.0.0.1:5000"',
  )
  t.match(test[1], '127.0.0.1:5000/')
  const elsewhere = await told(t, ['containerd', ...AT], { settings: { tls: { certificate, key } } })
  t.notMatch(elsewhere.files, [{ path: /ca\.crt/ }], 'not where another server has the name')
})

t.test('registry-mirrors follow the policy, whatever addresses it names', async t => {
  const open = { principals: ['anonymous'], addresses: ['10.0.0.0/8'], actions: ['pull'] }
  const mirrors = async (grant: object) => {
    const { files } = await told(t, ['docker', ...AT], { settings: { policy: [grant] } })
    return files.find(({ path }) => path.endsWith('daemon.json'))?.content
  }
  t.match(
    await mirrors({ ...open, upstreams: ['hub'] }),
    '"registry-mirrors": [\n    "https://hub.mirror.internal"',
  )
  t.equal(await mirrors({ ...open, upstreams: ['one'] }), undefined)
  t.equal(await mirrors({ ...open, principals: ['*'] }), undefined)
})

t.test('the user is a placeholder unless one is named', async t => {
  const { files, notes } = await told(t, ['podman', '--url', 'https://mirror.internal'])
  t.same(logins(files), ['USER:PASSWORD'])
  t.match(notes[0], 'USER is a placeholder')
})

t.test('what cannot be used is refused with exit code 2', async t => {
  const refusal = async (args: string[], message: string, options = {}) => {
    const { code, out, err } = await clientConfig(t, args, options)
    t.equal(code, 2)
    t.equal(out, '')
    t.match(err, message)
  }
  await refusal(
    ['dcoker', ...AT],
    'unknown client "dcoker" (did you mean docker?); expected one of docker, containerd',
  )
  await refusal(
    ['docker', '--url', 'mirror.internal'],
    '--url: found "mirror.internal", expected http(s)://HOST',
  )
  await refusal(['docker', ...AT, '--user', 'a:b'], '--user: a user name has')
  await refusal(['docker', ...AT], 'standard input has several lines', { input: 'one\ntwo\n' })
  await refusal(['docker', '--url', 'https://hub.mirror.internal'], 'hub.mirror.internal means hub alone')
  await refusal(['docker', '--url', `https://${ONE}`], `${ONE} means one alone`)
})

t.test('--directory writes the files where they belong below it', async t => {
  const root = await emptyDirectory(t)
  const write = (input: string, ...more: string[]) =>
    clientConfig(t, ['docker', ...AT, '--directory', join(root, 'new'), ...more], { input })
  const { code, out, err } = await write('secret')
  t.equal(code, 0, err)
  const config = join(root, 'new/root/.docker/config.json')
  t.match(out, `0600 ${config}\n`)
  t.notMatch(out, base64('ci:secret'), 'and does not print them')
  t.match(await readFile(config, 'utf8'), base64('ci:secret'))
  const mode = async (path: string) => (await stat(join(root, 'new', path))).mode & 0o777
  t.equal(await mode('root/.docker/config.json'), 0o600)
  t.equal(await mode('etc/hosts'), 0o644)

  t.equal((await write('secret')).code, 0, 'the same files may be written again')
  const refused = await write('other')
  t.equal(refused.code, 1)
  t.match(refused.err, /config\.json are there already; nothing was written/)
  t.match(await readFile(config, 'utf8'), base64('ci:secret'), 'others are left alone')
  t.equal((await write('other', '--force')).code, 0)
  t.match(await readFile(config, 'utf8'), base64('ci:other'), 'unless they are to be replaced')
  t.equal(await mode('root/.docker/config.json'), 0o600)
})

t.test('a file that may be read by all becomes secret when it is replaced', async t => {
  const root = await emptyDirectory(t)
  const file = join(root, 'rootfs/root/.config/containers/auth.json')
  await mkdir(join(file, '..'), { recursive: true })
  await writeFile(file, '{}', { mode: 0o644 })
  const { code } = await clientConfig(t, ['podman', ...AT, '--directory', join(root, 'rootfs'), '--force'])
  t.equal(code, 0)
  t.equal((await stat(file)).mode & 0o777, 0o600)
})

async function emptyDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'client-config-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** What is after `auth` or `Basic` anywhere, decoded. */
function logins(files: Told['files']): string[] {
  return files.flatMap(({ content }) =>
    [...content.matchAll(/(?:"auth": "|Basic )([A-Za-z0-9+/=]+)"/g)].map(([, encoded = '']) =>
      Buffer.from(encoded, 'base64').toString('utf8'),
    ),
  )
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
