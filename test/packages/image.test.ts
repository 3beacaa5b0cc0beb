import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { z } from 'zod'
import { needs, needsRoot } from '../clients/support/required-packages.js'
import { runClient, succeed } from '../clients/support/run-client.js'
import { scratch } from '../clients/support/scratch.js'
import { startEcr } from '../ecr/ecr.js'
import { reachOf } from '../ecr/reach.js'
import { inRing } from '../support/ring.js'
import { authorization, usersFile } from '../support/users.js'
import { BASE_ENV, writeBase, writeContext } from './support/image-build.js'

/** It fetches and compiles all that is in the image, which takes minutes beside other tests. */
const inThisRing = inRing({ short: 0, long: 1 })
  ? {}
  : { skip: 'it builds everything anew: npm run test:long' }
const required = { ...needs('buildah', 'podman', 'runc'), ...needsRoot(), ...inThisRing }

/** The most that the image may have, unpacked: most of it is Node.js. */
const MOST_BYTES = 200 * 1024 * 1024

t.test('the image', required, async t => {
  const directory = await scratch(t)
  const store = [
    '--root',
    join(directory, 'root'),
    '--runroot',
    join(directory, 'run'),
    '--storage-driver',
    'overlay',
  ]
  const buildah = (...args: string[]) => succeed('buildah', [...store, ...args], { seconds: 900 })
  const podman = (...args: string[]) => [
    ...store,
    ...['--tmpdir', join(directory, 'tmp'), '--cgroup-manager', 'cgroupfs', '--events-backend', 'file'],
    ...['--runtime', 'runc', ...args],
  ]
  // Its mounts would be in the way of what removes the directory.
  t.teardown(() => runClient('podman', podman('system', 'reset', '--force')))

  const base = join(directory, 'base')
  await writeBase(base)
  await writeFile(
    join(base, 'Containerfile'),
    `FROM scratch\nCOPY . /\n${Object.entries(BASE_ENV)
      .map(([name, value]) => `ENV ${name}=${value}\n`)
      .join('')}`,
  )
  await buildah('bud', '--quiet', '--tag', 'localhost/base', base)

  const npmCache = (await succeed('npm', ['config', 'get', 'cache'])).trim()
  const build = async (tag: string, umask: string): Promise<Layer[]> => {
    const context = join(directory, tag)
    await mkdir(context)
    await writeContext(context)
    // A checkout has the modes that the umask of whoever made it leaves.
    await succeed('chmod', ['-R', umask, context])
    const log = await buildah(
      ...[
        'bud',
        '--isolation',
        'chroot',
        '--network',
        'host',
        '--no-cache',
        '--format',
        'docker',
        '--timestamp',
        '0',
      ],
      ...['--volume', `${npmCache}:/root/.npm`, '--build-arg', 'BASE=localhost/base', '--tag', tag, context],
    )
    t.match(log, 'COMMIT')
    return layersOf(buildah, tag, join(directory, `${tag}-layout`))
  }
  const layers = await build('mirror', 'u=rwX,go=rX')
  const entries = layers.flatMap(each => each.entries)

  t.test('has Node.js, its libraries and the mirror, and nothing else that could be run', async t => {
    const outside = entries.filter(({ path, type }) => type === '-' && !path.startsWith('app/'))
    const expected =
      /^(usr\/local\/bin\/node|(usr\/)?lib(64)?\/[\w./+-]*\.so(\.\d+)*|etc\/(passwd|group|nsswitch\.conf))$/
    t.same(
      outside.map(({ path }) => path).filter(path => !expected.test(path)),
      [],
    )
    t.ok(outside.some(({ path }) => path === 'usr/local/bin/node'))
    const paths = entries.map(({ path }) => path)
    t.notOk(paths.some(path => /(^|\/)(npm|npx|yarn|corepack|apt|apt-get|dpkg|sh|bash)$/.test(path)))
    t.notOk(paths.some(path => /^app\/(src|test|dist\/test)\//.test(path)))
    t.notOk(paths.some(path => /^app\/node_modules\/(typescript|tap|esbuild|tsx)\//.test(path)))
    t.ok(
      paths.some(path => /^app\/node_modules\/@node-rs\/bcrypt-[\w-]+\/[\w.-]+\.node$/.test(path)),
      'bcrypt is native',
    )
  })

  t.test('is small, and the mirror cannot write what is in it', async t => {
    const bytes = entries.reduce((sum, { size }) => sum + size, 0)
    t.comment(`${(bytes / 1024 / 1024).toFixed(0)} MiB in ${entries.length} files`)
    t.ok(bytes < MOST_BYTES, `${bytes} of ${MOST_BYTES}`)
    const cache = entries.filter(({ path }) => path === 'var/cache/ecr-mirror')
    t.match(cache, [{ mode: 'rwx------', owner: '65532/65532' }])
    const last = new Map(entries.map(entry => [entry.path, entry]))
    last.delete('var/cache/ecr-mirror')
    const loose = [...last.values()].filter(
      ({ owner, mode, type }) =>
        owner !== '0/0' || (type !== 'l' && /w/.test(mode.slice(3))) || /s/.test(mode),
    )
    t.same(loose, [], 'all else is root’s, and nothing has another’s rights')
  })

  t.test('is made of nothing that a second build would make otherwise', async t => {
    t.same([...new Set(entries.map(({ time }) => time))], ['1970-01-01 00:00:00'])
    // With another umask, and all anew.
    const again = await build('again', 'ug=rwX,o=rX')
    t.same(
      again.map(each => each.diffId),
      layers.map(each => each.diffId),
    )
  })

  t.test('serves with a root that is read-only and no rights, and writes into its cache only', async t => {
    const ecr = await startEcr()
    t.teardown(() => ecr.close())
    const { layers } = await ecr.putImage('team/app', '1.0')
    const upstream = {
      name: 'main',
      host: ecr.host,
      ...reachOf(ecr),
    }
    const config = join(directory, 'config')
    await mkdir(config)
    await writeFile(join(config, 'users'), await usersFile())
    await writeFile(
      join(config, 'mirror.yaml'),
      JSON.stringify({
        listen: '127.0.0.1:0',
        operations: { listen: `127.0.0.1:${await freePort()}` },
        log: { format: 'json' },
        users: { htpasswd: 'users' },
        cache: { directory: '/var/cache/ecr-mirror', minFree: '0B' },
        upstreams: [upstream],
      }),
    )
    await succeed('podman', podman('volume', 'create', 'cache'))
    await succeed(
      'podman',
      podman(
        ...['run', '--detach', '--name', 'mirror', '--network', 'host', '--init=false'],
        ...['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024'],
        ...['--read-only', '--read-only-tmpfs=false', '--cap-drop=ALL', '--user', '65532'],
        ...['--security-opt', 'no-new-privileges', '--volume', `${config}:/etc/ecr-mirror:ro`],
        ...['--volume', 'cache:/var/cache/ecr-mirror', '--env', 'AWS_ACCESS_KEY_ID=any'],
        ...['--env', 'AWS_SECRET_ACCESS_KEY=any', 'localhost/mirror'],
      ),
    )
    const log = async () => (await runClient('podman', podman('logs', 'mirror'))).output
    const listening = /"listen":\["(http:[^"]+)"\]/
    const url = await until(async () => listening.exec(await log())?.[1])
    const headers = { authorization }
    const blob = `/v2/team/app/blobs/${layers[0]?.digest}`
    const pull = async () => {
      const answer = await fetch(url + blob, { headers })
      const bytes = Buffer.from(await answer.arrayBuffer())
      t.equal(`sha256:${createHash('sha256').update(bytes).digest('hex')}`, layers[0]?.digest)
      return answer.headers.get('x-cache')
    }
    t.equal(await pull(), 'miss')
    await until(async () => ((await pull()) === 'hit' ? true : undefined))
    t.equal((await fetch(`${url}/v2/`)).status, 401)
    const status = await succeed('podman', podman('exec', 'mirror', '/usr/local/bin/node', '-p', STATUS))
    t.match(JSON.parse(status), {
      uid: 65532,
      effective: '0000000000000000',
      bounding: '0000000000000000',
      noNew: '1',
    })
    await succeed(
      'podman',
      podman('exec', 'mirror', '/usr/local/bin/node', '/app/dist/main.js', 'healthcheck'),
    )
    const checked = await runClient(
      'podman',
      podman('exec', 'mirror', '/usr/local/bin/node', '/app/dist/main.js', 'check'),
    )
    t.match(checked.output, /✓ cache: \/var\/cache\/ecr-mirror: .*owner 65532, mode 0700/)
    const writable = await succeed('podman', podman('exec', 'mirror', '/usr/local/bin/node', '-p', WRITABLE))
    t.same(JSON.parse(writable), ['/var/cache/ecr-mirror'], 'nothing else can be written')
    await succeed('podman', podman('stop', '--time', '30', 'mirror'))
    const format = ['--format', '{{.State.ExitCode}}']
    t.equal((await succeed('podman', podman('inspect', ...format, 'mirror'))).trim(), '0', await log())
  })
})

const STATUS = `const s = fs.readFileSync('/proc/1/status', 'utf8'); const of = name => RegExp('^' + name + ':\\\\s+(\\\\S+)', 'm').exec(s)[1];
JSON.stringify({ uid: Number(of('Uid')), effective: of('CapEff'), bounding: of('CapBnd'), noNew: of('NoNewPrivs') })`

/** What its user may write, without what is below; the system's own file systems aside. */
const WRITABLE = `const found = [];
(function walk(path) {
  if (['/proc', '/sys', '/dev'].includes(path)) return;
  try { fs.accessSync(path, fs.constants.W_OK); found.push(path); return } catch {}
  if (fs.lstatSync(path).isDirectory()) for (const name of fs.readdirSync(path)) walk(require('path').join(path, name));
})('/');
JSON.stringify(found)`

interface Entry {
  readonly path: string
  /** As the first letter of `ls -l`. */
  readonly type: string
  readonly mode: string
  readonly owner: string
  readonly size: number
  readonly time: string
}

interface Layer {
  readonly diffId: string
  readonly entries: readonly Entry[]
}

const imageSchema = z.object({ rootfs: z.object({ diff_ids: z.array(z.string()) }) })
const manifestSchema = z.object({
  config: z.object({ digest: z.string() }),
  layers: z.array(z.object({ digest: z.string() })),
})

async function layersOf(
  buildah: (...args: string[]) => Promise<string>,
  tag: string,
  directory: string,
): Promise<Layer[]> {
  await buildah('push', '--quiet', tag, `dir:${directory}`)
  const read = async (name: string): Promise<unknown> =>
    JSON.parse(await readFile(join(directory, name), 'utf8'))
  const named = (digest: string) => digest.replace('sha256:', '')
  const { config, layers } = manifestSchema.parse(await read('manifest.json'))
  const { diff_ids } = imageSchema.parse(await read(named(config.digest))).rootfs
  return Promise.all(
    layers.map(async ({ digest }, at) => {
      const list = await succeed('tar', [
        ...['--list', '--verbose', '--numeric-owner', '--full-time', '--utc', '--file'],
        join(directory, named(digest)),
      ])
      return { diffId: diff_ids[at] ?? '', entries: list.trimEnd().split('\n').map(entryOf) }
    }),
  )
}

function entryOf(line: string): Entry {
  const [, type = '', mode = '', owner = '', size = '', time = '', path = ''] =
    /^(.)(\S{9})\s+(\S+)\s+(\d+)\s+(\S+ \S+)\s+(.*?)(?: -> .*| link to .*)?$/.exec(line) ?? []
  return { type, mode, owner, size: Number(size), time, path: path.replace(/\/$/, '') }
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net')
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}

async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 30_000
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (Date.now() > deadline) throw new Error('not within 30 s')
    await sleep(100)
  }
}
