import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { writeBuildContext } from './support/build-context.js'
import { DOCKER, startDockerd } from './support/dockerd.js'
import { standIn } from './support/far-side.js'
import { startMirrorProcess, USER } from './support/mirror-process.js'
import { needs, needsRoot } from './support/required-packages.js'
import { succeed } from './support/run-client.js'
import { scratch } from './support/scratch.js'

const DOCKERFILE = `\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "echo one > /one"]
RUN ["/bin/busybox", "sh", "-c", "cat /dev/urandom | head -c 300000 > /two"]
COPY noise /noise
RUN ["/bin/busybox", "sh", "-c", "echo three > /three"]
`
const STEPS = 5

const required = {
  ...needs('dockerd', 'containerd', 'runc', 'busybox'),
  ...(existsSync(DOCKER) ? {} : { skip: `${DOCKER} is missing here: apt-get install docker.io` }),
  ...needsRoot(),
}

t.test("a second agent's build takes its layers from what the first has pushed", required, async t => {
  const directory = await scratch(t)
  const farSide = await standIn(t)
  const { ecr } = farSide
  const mirror = await startMirrorProcess(t, farSide, { cached: true })
  const registry = new URL(mirror.url).host
  const image = `${registry}/team/app:cache`
  ecr.createRepository('team/app')
  const context = await writeBuildContext(join(directory, 'context'))
  await writeFile(join(context.directory, 'Dockerfile'), DOCKERFILE)

  async function agent(name: string) {
    const own = join(directory, name)
    await mkdir(own)
    const { env, ...options } = await startDockerd(t, own)
    const with_ = { ...options, env: { ...env, DOCKER_BUILDKIT: '1' } }
    const docker = (...args: string[]) => succeed(DOCKER, args, with_)
    await succeed(DOCKER, ['login', '-u', USER.name, '--password-stdin', registry], {
      ...with_,
      input: USER.password,
    })
    const build = async (...args: string[]): Promise<string> => {
      const log = join(own, 'build.log')
      const command = [
        'build',
        '--network',
        'none',
        '--progress',
        'plain',
        '-t',
        image,
        ...args,
        context.directory,
      ]
      return succeed('sh', ['-c', `${DOCKER} "$@" 2>&1 | tee ${log}`, 'sh', ...command], with_)
    }
    return { docker, build }
  }

  const first = await agent('first')
  const built = await first.build('--build-arg', 'BUILDKIT_INLINE_CACHE=1')
  t.equal(cachedSteps(built), 0, 'nothing is cached at first')
  await first.docker('push', image)
  const id = await first.docker('image', 'inspect', '--format', '{{.RootFS.Layers}}', image)

  const downloads = (): number => ecr.count({ at: 's3' }) + ecr.count({ action: 'GetDownloadUrlForLayer' })
  const before = downloads()
  const second = await agent('second')
  const again = await second.build('--cache-from', image)
  t.equal(cachedSteps(again), STEPS, 'every step is cached')
  t.equal(await second.docker('image', 'inspect', '--format', '{{.RootFS.Layers}}', image), id)
  t.equal(downloads(), before, 'no layer comes from ECR')
  t.same(mirror.errors(), [])
})

function cachedSteps(output: string): number {
  return (output.match(/^#\d+ CACHED$/gm) ?? []).length
}
