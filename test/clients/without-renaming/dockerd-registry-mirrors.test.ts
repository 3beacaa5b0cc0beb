import { appendFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startDockerdOn } from '../support/dockerd.js'
import { makeMachine } from '../support/machine.js'
import { LAYER_BYTES, setNamedStage, type NamedStage } from '../support/named-stage.js'
import { needs, needsRoot } from '../support/required-packages.js'
import { runClient, succeed, type ClientOptions } from '../support/run-client.js'
import { scratch } from '../support/scratch.js'

const ADDRESS = '10.99.0.1'
const OF_DOCKER_HUB = { user: 'hubuser', password: 'password-for-docker-hub' }

const required = {
  ...needs('dockerd', 'docker', 'containerd', 'runc', 'skopeo', 'ip'),
  ...needsRoot(),
}

const open = {
  principals: ['anonymous'],
  addresses: ['127.0.0.1/32'],
  upstreams: ['hub'],
  repositories: ['library/**'],
  actions: ['pull'],
}

t.test('as the registry mirror of dockerd it serves Docker Hub to anybody', required, async t => {
  const { stage, anonymous } = await setUp(t, { users: {}, policy: [open] })
  await succeed('docker', ['pull', 'busybox:1'], anonymous)
  await isOfHub(t, stage, anonymous)
  const other = await runClient('docker', ['pull', 'someone/busybox:1'], anonymous)
  t.not(other.code, 0, 'but not what is not granted')
  stage.assertNothingLeaked(t)
})

t.test('a mirror with users does so too, also for who is logged in at Docker Hub', required, async t => {
  const { stage, directory, anonymous } = await setUp(t, {
    policy: [open, { principals: ['*'], actions: ['pull', 'push'] }],
  })
  await succeed('docker', ['pull', 'busybox:1'], anonymous)
  await isOfHub(t, stage, anonymous)
  await succeed('docker', ['system', 'prune', '--all', '--force'], anonymous)

  const { user, password } = OF_DOCKER_HUB
  const basic = Buffer.from(`${user}:${password}`).toString('base64')
  const DOCKER_CONFIG = join(directory, 'logged-in')
  await mkdir(DOCKER_CONFIG)
  await writeFile(
    join(DOCKER_CONFIG, 'config.json'),
    JSON.stringify({ auths: { 'https://index.docker.io/v1/': { auth: basic } } }),
  )
  const loggedIn = { ...anonymous, env: { ...anonymous.env, DOCKER_CONFIG } }
  stage.link.cutAfter(LAYER_BYTES / 2)
  await succeed('docker', ['pull', 'busybox:1'], loggedIn)
  await isOfHub(t, stage, loggedIn)
  t.equal(stage.link.cuts, 1, 'a layer that was cut in the middle arrives all the same')
  t.ok(stage.statuses('blob').includes(206), 'with only the rest asked for again')
  t.match(stage.mirror.output(), '"user":"anonymous"', 'a login at Docker Hub counts as none')
  stage.assertNothingLeaked(t, user, password, basic)
})

async function setUp(t: Test, settings: Record<string, unknown>) {
  const directory = await scratch(t)
  const socket = join(directory, 'link.sock')
  const stage = await setNamedStage(t, directory, { settings, socket })
  const root = await stage.clientFiles('docker', `http://${ADDRESS}:5000`)
  await appendFile(join(root, 'etc/hosts'), `${ADDRESS} hub.mirror.test\n`)
  const machine = await makeMachine(t, root, { networks: [{ address: ADDRESS, port: 5000, socket }] })
  const DOCKER_HOST = await startDockerdOn(t, machine, directory)
  const DOCKER_CONFIG = join(directory, 'not-logged-in')
  await mkdir(DOCKER_CONFIG)
  const anonymous: ClientOptions = { env: { DOCKER_HOST, DOCKER_CONFIG } }
  return { stage, directory, anonymous }
}

/** Docker Hub's name stays, and the image is the one that lies behind the prefix. */
async function isOfHub(t: Test, stage: NamedStage, options: ClientOptions): Promise<void> {
  const format = ['--format', '{{.RepoDigests}}']
  const digests = await succeed(
    'docker',
    ['image', 'inspect', ...format, 'docker.io/library/busybox:1'],
    options,
  )
  t.equal(
    digests.trim(),
    `[busybox@${stage.hub.digest}]`,
    'it comes from behind the prefix, under its own name',
  )
}
