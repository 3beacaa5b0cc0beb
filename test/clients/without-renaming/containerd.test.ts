import { join } from 'node:path'
import t from 'tap'
import { startContainerd } from '../support/containerd.js'
import { HOST_OF_ONE, HOST_OF_OTHER, LAYER_BYTES, ONE, OTHER, setNamedStage } from '../support/named-stage.js'
import { needs, needsRoot } from '../support/required-packages.js'
import { runClient, succeed } from '../support/run-client.js'
import { scratch } from '../support/scratch.js'

const required = { ...needs('containerd', 'ctr', 'skopeo'), ...needsRoot() }

t.test('containerd keeps ECR names with the files of client-config', required, async t => {
  const stage = await setNamedStage(t, await scratch(t))
  const { directory, ecr, link, one, other, hub } = stage
  const root = await stage.clientFiles('containerd')
  const hosts = ['--hosts-dir', join(root, 'etc/containerd/certs.d')]
  const socket = await startContainerd(t, join(directory, 'containerd'))
  const ctr = (...args: string[]) => succeed('ctr', ['-a', socket, ...args])
  const pull = (image: string) =>
    ctr('images', 'pull', '--all-platforms', '--snapshotter', 'native', ...hosts, image)
  const content = async (): Promise<string[]> => (await ctr('content', 'ls', '-q')).trim().split('\n').sort()
  const resumed = (): number => stage.statuses('blob').filter(status => status === 206).length
  const remove = (...images: string[]) => ctr('images', 'rm', '--sync', ...images)

  await pull(`${HOST_OF_ONE}/team/app:1`)
  t.same(await content(), one.contents, 'an index with all its platforms comes from the registry of its name')
  await remove(`${HOST_OF_ONE}/team/app:1`)
  await pull(`${HOST_OF_OTHER}/team/app:1`)
  t.same(await content(), other.contents, 'and what is called the same elsewhere from there')
  await remove(`${HOST_OF_OTHER}/team/app:1`)

  const cutAndPull = async (image: string, contents: readonly string[], message: string): Promise<void> => {
    const [cuts, before] = [link.cuts, resumed()]
    link.cutAfter(LAYER_BYTES / 2)
    await pull(image)
    t.same(await content(), contents, message)
    t.equal(link.cuts, cuts + 1, 'although a layer is cut in the middle')
    t.ok(resumed() > before, 'with only the rest asked for again')
  }
  await cutAndPull('docker.io/library/busybox:1', hub.contents, 'names of Docker Hub lead behind the prefix')
  await remove('docker.io/library/busybox:1')
  const byOwnName = `${new URL(link.url).host}/other/team/app:1`
  await cutAndPull(byOwnName, other.contents, "the mirror's own name leads to each by its name")
  await remove(byOwnName)
  await cutAndPull(`${HOST_OF_ONE}/team/app:1`, one.contents, 'a pull by an ECR name arrives')

  const missing = await runClient('ctr', [
    '-a',
    socket,
    'images',
    'pull',
    ...hosts,
    `${HOST_OF_ONE}/team/app:none`,
  ])
  t.not(missing.code, 0)
  t.match(missing.output, /not found/, 'an image that is not there is not found')

  ecr.createRepository('team/pushed', OTHER)
  const pushed = `${HOST_OF_OTHER}/team/pushed:2`
  await ctr('images', 'tag', `${HOST_OF_ONE}/team/app:1`, pushed)
  await ctr('images', 'push', ...hosts, pushed)
  t.equal(ecr.manifest('team/pushed', '2', OTHER)?.digest, one.digest, 'a push arrives where its name says')
  t.equal(ecr.manifest('team/pushed', '2', ONE), undefined)
  const own = `${new URL(link.url).host}/other/team/pushed:3`
  await ctr('images', 'tag', pushed, own)
  await ctr('images', 'push', ...hosts, own)
  t.equal(ecr.manifest('team/pushed', '3', OTHER)?.digest, one.digest, "and by the mirror's own name")
  const foreign = 'docker.io/library/pushed:1'
  await ctr('images', 'tag', pushed, foreign)
  const refused = await runClient('ctr', ['-a', socket, 'images', 'push', ...hosts, foreign])
  t.not(refused.code, 0, 'but not behind the prefix')

  const settings = ['-c', join(root, 'etc/containerd/config.toml'), 'config', 'dump']
  t.match(
    await succeed('containerd', settings),
    'config_path = "/etc/containerd/certs.d"',
    'its plugin for Kubernetes reads the same files',
  )
  stage.assertNothingLeaked(t)
})
