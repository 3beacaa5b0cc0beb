import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pipeline } from 'node:stream/promises'
import t, { type Test } from 'tap'
import { FOREVER } from '../../src/config/fields.js'
import { loadConfig } from '../../src/config/load.js'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { reachOf } from '../ecr/reach.js'
import { writeLayout } from './support/image-layout.js'
import { startMirrorProcess, USER, type MirrorProcess } from './support/mirror-process.js'
import { HOST_OF_ONE, HOST_OF_OTHER, ONE, OTHER } from './support/named-stage.js'
import { needs } from './support/required-packages.js'
import { runClient, succeed } from './support/run-client.js'
import { scratch } from './support/scratch.js'

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
const CREDENTIALS = `${USER.name}:${USER.password}`
const CACHE = { tags: { ttl: '10s', staleFor: 'forever' }, membership: { ttl: '1h', staleFor: 'forever' } }

/** What is in the bundle, by the names that it is pulled by, with the layouts that it was made of. */
const IMAGES = {
  'one/team/app:1': 'many',
  'one/team/plain:1': 'plain',
  'one/team/plain:latest': 'plain',
  'other/base/node:2.0': 'base',
} as const

interface Side {
  readonly url: string
  readonly mirror: MirrorProcess
  readonly command: (...args: string[]) => Promise<string>
  readonly end: () => Promise<void>
}

/** Two registries, as a mirror reaches them; without `ecr` where nothing is. */
async function side(t: Test, ecr: Ecr, cache: string, reaches: boolean): Promise<Side> {
  const nowhere = 'http://127.0.0.1:9'
  const url = reaches ? ecr.url : nowhere
  const reach = reachOf({ url, s3Host: ecr.s3Host })
  const settings = {
    cache: { directory: cache, ...CACHE },
    upstreams: [
      { name: 'one', host: HOST_OF_ONE, default: true, ...reach },
      { name: 'other', host: HOST_OF_OTHER, ...reach },
    ],
  }
  const mirror = await startMirrorProcess(t, { url, ecr }, { settings })
  return {
    url: mirror.url,
    mirror,
    command: (name = '', ...args) =>
      succeed(process.execPath, [MAIN, name, '--config', mirror.configFile, ...args], {
        env: { AWS_ACCESS_KEY_ID: 'AKIDSTANDIN', AWS_SECRET_ACCESS_KEY: 'secret-of-the-stand-in' },
      }),
    async end() {
      process.kill(mirror.pid, 'SIGTERM')
      while (isThere(mirror.pid)) await new Promise(resolve => setTimeout(resolve, 50))
    },
  }
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function blobsIn(layout: string): Promise<string[]> {
  return (await readdir(join(layout, 'blobs', 'sha256'))).sort()
}

async function assertRight(t: Test, layout: string, made: string): Promise<void> {
  const names = await blobsIn(layout)
  t.same(names, await blobsIn(made), 'everything is there')
  for (const name of names) {
    const hash = createHash('sha256')
    await pipeline(createReadStream(join(layout, 'blobs', 'sha256', name)), hash)
    t.equal(hash.digest('hex'), name, 'with the bytes that belong to it')
  }
}

const required = { ...needs('skopeo', 'podman'), timeout: 300_000 }

t.test('what one mirror exports is pulled by every client from one without a network', required, async t => {
  const directory = await scratch(t)
  const ecr = await startEcr({ accounts: [ONE, OTHER] })
  t.teardown(() => ecr.close())
  const open = await side(t, ecr, join(directory, 'open'), true)

  const made = (name: string): string => join(directory, `made-${name}`)
  await writeLayout(made('many'), { tag: '1', layers: [3_000_000, 10], architectures: ['amd64', 'arm64'] })
  await writeLayout(made('plain'), { tag: '1', layers: [70_000] })
  await writeLayout(made('base'), { tag: '1', layers: [90_000, 1000] })
  for (const [repository, where] of [
    ['team/app', ONE],
    ['team/plain', ONE],
    ['base/node', OTHER],
  ] as const)
    ecr.createRepository(repository, where)
  for (const [image, layout] of Object.entries(IMAGES))
    await succeed('skopeo', [
      ...['copy', '--all', '--preserve-digests', '--dest-tls-verify=false', '--dest-creds', CREDENTIALS],
      ...[`oci:${made(layout)}:1`, `docker://${new URL(open.url).host}/${image}`],
    ])

  const names = Object.keys(IMAGES)
  const bundle = join(directory, 'bundle.tar')
  await open.command('warm', ...names)
  await open.command('export', ...names, '-o', bundle)

  const cache = join(directory, 'closed')
  let closed = await side(t, ecr, cache, false)
  const requests = ecr.requests.length
  const imported = await closed.command('import', bundle)
  for (const name of names) t.match(imported, `${name}  sha256:`)
  t.notMatch(imported, /forever/, 'there is nothing to warn of')

  async function pullAll(round: string): Promise<void> {
    const registry = new URL(closed.url).host
    for (const [index, [image, layout]] of Object.entries(IMAGES).entries()) {
      const pulled = join(directory, `${round}-${index}`)
      await succeed('skopeo', [
        ...['copy', '--all', '--preserve-digests', '--src-tls-verify=false', '--src-creds', CREDENTIALS],
        ...['--dest-oci-accept-uncompressed-layers', `docker://${registry}/${image}`, `oci:${pulled}:1`],
      ])
      await assertRight(t, pulled, made(layout))
      const store = join(directory, `podman-${round}`)
      await succeed('podman', [
        ...['--root', store, '--runroot', `${store}-run`, '--tmpdir', `${store}-tmp`],
        ...['--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', '--events-backend', 'file'],
        ...[
          '--runtime',
          'runc',
          'pull',
          '--tls-verify=false',
          '--creds',
          CREDENTIALS,
          `${registry}/${image}`,
        ],
      ])
    }
  }
  await pullAll('first')
  await closed.end()
  closed = await side(t, ecr, cache, false)
  await pullAll('restarted')
  t.equal(ecr.requests.length, requests, 'and nobody asks the registry')

  await t.test('skopeo and podman read the bundle itself', async t => {
    for (const [index, [image, layout]] of Object.entries(IMAGES).entries()) {
      const read = join(directory, `read-${index}`)
      await succeed('skopeo', [
        ...['copy', '--all', '--preserve-digests', '--dest-oci-accept-uncompressed-layers'],
        ...[`oci-archive:${bundle}:${image}`, `oci:${read}:1`],
      ])
      await assertRight(t, read, made(layout))
    }
    const store = join(directory, 'podman-archive')
    await succeed('podman', [
      ...['--root', store, '--runroot', `${store}-run`, '--tmpdir', `${store}-tmp`],
      ...['--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', '--events-backend', 'file'],
      ...['--runtime', 'runc', 'pull', `oci-archive:${bundle}:one/team/plain:1`],
    ])
  })

  await t.test('of a bundle for one platform clients of that platform are served', async t => {
    const one = join(directory, 'arm64.tar')
    await open.command('export', '--platform', 'linux/arm64', 'one/team/app:1', '-o', one)
    const copy = (arch: string, target: string) =>
      runClient('skopeo', [
        ...['--override-arch', arch, 'copy', '--dest-oci-accept-uncompressed-layers'],
        ...[`oci-archive:${one}:one/team/app:1`, `oci:${join(directory, target)}:1`],
      ])
    t.match(await copy('arm64', 'arm64'), { code: 0 })
    t.not((await copy('amd64', 'amd64')).code, 0)
    const sparse = await side(t, ecr, join(directory, 'sparse'), false)
    t.match(await sparse.command('import', one), /without linux\/amd64/)
    await succeed('skopeo', [
      ...['--override-arch', 'arm64', 'copy', '--src-tls-verify=false', '--src-creds', CREDENTIALS],
      ...[`docker://${new URL(sparse.url).host}/team/app:1`, `dir:${join(directory, 'sparse-pulled')}`],
    ])
  })

  await t.test('what skopeo writes is imported under the name it is given', async t => {
    const archive = join(directory, 'from-skopeo.tar')
    await succeed('skopeo', [
      ...['copy', '--all', '--preserve-digests', '--dest-oci-accept-uncompressed-layers'],
      ...[`oci:${made('many')}:1`, `oci-archive:${archive}:1`],
    ])
    await closed.command('import', '--name', 'other/from/skopeo:1', archive)
    const pulled = join(directory, 'from-skopeo')
    await succeed('skopeo', [
      ...['copy', '--all', '--preserve-digests', '--src-tls-verify=false', '--src-creds', CREDENTIALS],
      ...['--dest-oci-accept-uncompressed-layers'],
      ...[`docker://${new URL(closed.url).host}/other/from/skopeo:1`, `oci:${pulled}:1`],
    ])
    await assertRight(t, pulled, made('many'))
  })

  await t.test('so is what podman saves', async t => {
    const store = join(directory, 'podman-archive')
    const podman = (...args: string[]) =>
      succeed('podman', [
        ...['--root', store, '--runroot', `${store}-run`, '--tmpdir', `${store}-tmp`],
        ...['--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', '--events-backend', 'file', ...args],
      ])
    const archive = join(directory, 'from-podman.tar')
    const [id = ''] = (await podman('images', '--quiet', '--no-trunc')).trim().split('\n')
    await podman('save', '--format', 'oci-archive', '-o', archive, id.replace('sha256:', ''))
    await closed.command('import', '--name', 'other/from/podman:1', archive)
    await succeed('skopeo', [
      ...['copy', '--src-tls-verify=false', '--src-creds', CREDENTIALS],
      ...[
        `docker://${new URL(closed.url).host}/other/from/podman:1`,
        `dir:${join(directory, 'podman-pulled')}`,
      ],
    ])
    t.pass('and pulled')
  })

  t.same(open.mirror.errors(), [])
})

t.test('the page about closed networks has these commands, and a configuration that is one', async t => {
  const page = await readFile(new URL('../../docs/air-gap.md', import.meta.url), 'utf8')
  for (const command of [
    'ecr-mirror warm ',
    'ecr-mirror export ',
    'ecr-mirror import bundle.tar',
    'ecr-mirror import --name ',
  ])
    t.ok(page.includes(command), command)
  const [, yaml = ''] = /^```yaml\n([^]*?)^```$/m.exec(page) ?? []
  const directory = t.testdir({ 'mirror.yaml': yaml })
  const { config } = await loadConfig({ env: {}, flags: { config: `${directory}/mirror.yaml` } })
  t.match(config.cache, { tags: { staleFor: FOREVER }, membership: { staleFor: FOREVER } })
})
