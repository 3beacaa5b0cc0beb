import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { makeCertificate } from '../../support/certificate.js'
import { DOCKER, startDockerdOn } from '../support/dockerd.js'
import { makeMachine } from '../support/machine.js'
import { USER } from '../support/mirror-process.js'
import { HOST_OF_ONE, HOST_OF_OTHER, LAYER_BYTES, ONE, OTHER, setNamedStage } from '../support/named-stage.js'
import { needs, needsRoot } from '../support/required-packages.js'
import { runClient, succeed } from '../support/run-client.js'
import { scratch } from '../support/scratch.js'

/** Not on the loopback, where dockerd would verify no certificate. */
const ADDRESS = '10.99.0.1'

const required = {
  ...needs('dockerd', 'docker', 'containerd', 'runc', 'skopeo', 'ip', 'openssl'),
  ...needsRoot(),
}

t.test('docker takes the mirror for ECR with the files of client-config', required, async t => {
  const directory = await scratch(t)
  const tls = [ADDRESS, HOST_OF_ONE, HOST_OF_OTHER].map(name => {
    const { certificate, key } = makeCertificate(directory, name)
    return { certificate, key }
  })
  const socket = join(directory, 'link.sock')
  const stage = await setNamedStage(t, directory, { settings: { tls }, socket })
  const { ecr, link, one, other } = stage
  const root = await stage.clientFiles('docker', `https://${ADDRESS}`)
  const machine = await makeMachine(t, root, { networks: [{ address: ADDRESS, port: 443, socket }] })
  const DOCKER_HOST = await startDockerdOn(t, machine, directory)
  const withLogin = (config: string) => ({
    env: { DOCKER_HOST, DOCKER_CONFIG: join(root, config) },
    seconds: 120,
  })
  const options = withLogin('root/.docker/ecr-names')
  const docker = (...args: string[]) => succeed('docker', args, options)

  await mkdir(join(root, 'login'))
  const login = (host: string, password: string) =>
    runClient('docker', ['login', '-u', USER.name, '--password-stdin', host], {
      ...withLogin('login'),
      input: password,
    })
  const refused = await login(HOST_OF_ONE, 'wrong')
  t.not(refused.code, 0, 'a login with a wrong password is refused')
  t.match(refused.output, /401 Unauthorized|unauthorized:/, 'with a message')
  for (const host of [HOST_OF_ONE, HOST_OF_OTHER])
    t.match(await login(host, USER.password), { code: 0 }, 'the right one is taken, by each name')

  for (const [host, image] of [
    [HOST_OF_ONE, one],
    [HOST_OF_OTHER, other],
  ] as const) {
    const output = await docker('pull', `${host}/team/app:1`)
    t.equal(digestIn(output), image.digest, 'an index comes from the registry that its name says')
  }
  await docker('system', 'prune', '--all', '--force')

  const resumed = (): number => stage.statuses('blob').filter(status => status === 206).length
  for (const image of [`${ADDRESS}/other/team/app:1`, `${HOST_OF_ONE}/team/app:1`]) {
    const [cuts, before] = [link.cuts, resumed()]
    link.cutAfter(LAYER_BYTES / 2)
    const { digest } = image.startsWith(ADDRESS) ? other : one
    t.equal(digestIn(await docker('pull', image)), digest, "by the mirror's own name or ECR's")
    t.equal(link.cuts, cuts + 1, 'a layer is cut in the middle, and arrives all the same')
    t.ok(resumed() > before, 'with only the rest asked for again')
  }

  await docker('system', 'prune', '--all', '--force')
  const context = join(directory, 'context')
  await mkdir(context)
  await writeFile(join(context, 'Dockerfile'), `FROM ${HOST_OF_OTHER}/team/app:1\nLABEL built=yes\n`)
  link.cutAfter(LAYER_BYTES / 2)
  const cutsBefore = link.cuts
  await succeed(DOCKER, ['build', '--network', 'none', '-t', 'built', context], {
    ...options,
    env: { ...options.env, DOCKER_BUILDKIT: '1' },
  })
  t.equal(link.cuts, cutsBefore + 1)
  const layers = JSON.parse(
    await docker('image', 'inspect', '--format', '{{json .RootFS.Layers}}', 'built'),
  ) as string[]
  t.equal(layers.length, 2)
  t.ok(
    layers.every(layer => other.contents.includes(layer)),
    'BuildKit builds from an image by its name in ECR, also where a layer is cut in the middle',
  )
  await docker('pull', `${HOST_OF_ONE}/team/app:1`)

  ecr.createRepository('team/pushed', OTHER)
  await docker('tag', `${HOST_OF_ONE}/team/app:1`, `${HOST_OF_OTHER}/team/pushed:2`)
  const pushed = digestIn(await docker('push', `${HOST_OF_OTHER}/team/pushed:2`))
  t.ok(pushed)
  t.equal(ecr.manifest('team/pushed', '2', OTHER)?.digest, pushed, 'a push arrives where its name says')
  t.equal(ecr.manifest('team/pushed', '2', ONE), undefined)
  await docker('tag', `${HOST_OF_ONE}/team/app:1`, `${ADDRESS}/other/team/pushed:3`)
  await docker('push', `${ADDRESS}/other/team/pushed:3`)
  t.equal(ecr.manifest('team/pushed', '3', OTHER)?.digest, pushed, "and by the mirror's own name")

  await rm(join(machine.etc, 'docker/certs.d', HOST_OF_OTHER, 'ca.crt'))
  const untrusted = await runClient('docker', ['pull', `${HOST_OF_OTHER}/team/app:1`], options)
  t.not(untrusted.code, 0)
  t.match(untrusted.output, /x509/, 'without its ca.crt a name is not believed')
  stage.assertNothingLeaked(t)
})

function digestIn(output: string): string | undefined {
  return /digest: (sha256:[0-9a-f]{64})/i.exec(output)?.[1]
}
