import { mkdtemp, rm, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { imagesIn, nameOf } from '../../src/commands/images.js'
import { loadConfig } from '../../src/config/load.js'
import { startEcr } from '../ecr/ecr.js'
import { startLink } from '../support/link.js'
import { mirrorOf, USER } from '../support/mirror.js'
import { runCommand } from '../support/run-command.js'
import { startContainerd } from './support/containerd.js'
import { writeLayout } from './support/image-layout.js'
import { needs, needsRoot } from './support/required-packages.js'
import { succeed } from './support/run-client.js'
import { scratch } from './support/scratch.js'

const HOUR = 3_600_000
const CREDENTIALS = `${USER.name}:${USER.password}`

const required = { ...needs('skopeo', 'podman', 'containerd', 'ctr'), ...needsRoot(), timeout: 300_000 }

t.test(
  'a day without AWS: every image that is called complete is pulled by every client',
  required,
  async t => {
    const directory = await scratch(t)
    const cache = await mkdtemp(join(tmpdir(), 'day-'))
    t.teardown(() => rm(cache, { recursive: true, force: true }))
    const ecr = await startEcr()
    t.teardown(() => ecr.close())
    // Images come to the registry past the mirror that is to have them.
    const other = await mirrorOf(t, ecr)
    const [link, s3] = [await startLink(t, ecr.url), await startLink(t, `http://${ecr.s3Host}`)]
    ecr.knobs.redirectHost = new URL(s3.url).host
    const clock = { now: Date.now() }
    const mirror = await mirrorOf(t, ecr, {
      now: () => clock.now,
      upstream: { endpoint: link.url, apiEndpoint: link.url, redirectHosts: [new URL(s3.url).host] },
      // Who may push is told by HEAD what the registry says, or that it cannot be asked.
      settings: { cache: { directory: cache }, policy: [{ principals: ['*'], actions: ['pull'] }] },
    })
    const registry = new URL(mirror.url).host
    const { config } = await loadConfig({ env: {}, flags: { config: mirror.configFile }, withoutUsers: true })

    const plain = join(directory, 'plain')
    await writeLayout(plain, { tag: '1', layers: [50_000, 1_000] })
    const cold = join(directory, 'cold')
    await writeLayout(cold, { tag: '1', layers: [60_000] })
    const many = join(directory, 'many')
    await writeLayout(many, { tag: '1', layers: [70_000], architectures: ['amd64', 'arm64'] })
    const push = (layout: string, image: string, ...how: string[]) =>
      succeed('skopeo', [
        ...['copy', '--all', ...how, '--dest-tls-verify=false', '--dest-creds', CREDENTIALS],
        ...[`oci:${layout}:1`, `docker://${new URL(other.url).host}/${image}`],
      ])
    for (const repository of ['team/plain', 'team/many', 'team/docker', 'team/cold'])
      ecr.createRepository(repository)
    await push(plain, 'team/plain:1', '--preserve-digests')
    await push(many, 'team/many:1', '--preserve-digests')
    await push(plain, 'team/docker:v2', '--format', 'v2s2')
    await push(cold, 'team/cold:1', '--preserve-digests')

    const warmed = await runCommand([
      ...['warm', '--config', mirror.configFile],
      ...['team/plain:1', 'team/many:1', 'team/docker:v2'],
    ])
    t.equal(warmed.code, 0, warmed.err)
    await mirror.fetch('/v2/team/cold/manifests/1')

    await Promise.all([link.cut(), s3.cut()])
    clock.now += 23.99 * HOUR
    const complete = async (): Promise<string[]> => {
      const names: string[] = []
      for await (const { scope, tag, variants } of imagesIn(config, () => clock.now)) {
        if (tag !== undefined && variants.length > 0 && variants.every(({ missing }) => missing.length === 0))
          names.push(`${nameOf(scope, config)}:${tag}`)
      }
      return names.sort()
    }
    const images = await complete()
    t.same(images, ['main/team/docker:v2', 'main/team/many:1', 'main/team/plain:1'])

    const socket = await startContainerd(t, join(directory, 'containerd'))
    const podman = ['--root', join(directory, 'store'), '--runroot', join(directory, 'run')]
    for (const [index, image] of images.entries()) {
      await succeed('skopeo', [
        ...['copy', '--all', '--src-tls-verify=false', '--src-creds', CREDENTIALS],
        ...[`docker://${registry}/${image}`, `dir:${join(directory, `pulled-${index}`)}`],
      ])
      await succeed('podman', [
        ...podman,
        ...['--tmpdir', join(directory, 'tmp'), '--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs'],
        ...['--events-backend', 'file', '--runtime', 'runc', 'pull', '--tls-verify=false'],
        ...['--creds', CREDENTIALS, `${registry}/${image}`],
      ])
      await succeed('ctr', [
        ...['-a', socket, 'images', 'pull', '--all-platforms', '--snapshotter', 'native'],
        ...['--plain-http', '-u', CREDENTIALS, `${registry}/${image}`],
      ])
      t.pass(`skopeo, podman and containerd pull ${image}`)
    }

    for await (const { scope, tag, variants } of imagesIn(config, () => clock.now)) {
      if (scope.repository !== 'team/many' || tag !== '1') continue
      const hex = variants[0]!.contents.at(-1)!.slice('sha256:'.length)
      await unlink(join(cache, 'v1/blobs/sha256', hex.slice(0, 2), hex))
    }
    t.same(
      await complete(),
      ['main/team/docker:v2', 'main/team/plain:1'],
      'one without a blob is not complete',
    )
  },
)
