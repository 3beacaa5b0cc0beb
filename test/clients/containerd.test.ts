import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startContainerd } from './support/containerd.js'
import { FAR_SIDES } from './support/far-side.js'
import { writeLayout } from './support/image-layout.js'
import { USER } from './support/mirror-process.js'
import { needs, needsRoot } from './support/required-packages.js'
import { runClient, succeed } from './support/run-client.js'
import { setStage } from './support/stage.js'

t.jobs = 2

const MiB = 1024 * 1024
const CREDENTIALS = `${USER.name}:${USER.password}`

for (const { name, start, commands, cached } of FAR_SIDES) {
  const required = { ...needs('containerd', 'ctr', ...commands), ...needsRoot() }
  t.test(`containerd pushes and pulls an index in front of ${name}`, required, async t => {
    const stage = await setStage(t, start, cached)
    const { directory, farSide, registry } = stage
    const socket = await startContainerd(t, join(directory, 'containerd'))
    const ctr = (...args: string[]) => ['-a', socket, ...args]
    const image = `${registry}/team/app:1`
    const plain = ['--plain-http', '-u', CREDENTIALS]
    const everyPlatform = ['--all-platforms', '--snapshotter', 'native']
    farSide.createRepository('team/app')
    farSide.createRepository('team/other')

    /** Removes an image and all that came with it. */
    const empty = async (reference: string): Promise<void> => {
      await succeed('ctr', ctr('images', 'rm', '--sync', reference))
      t.equal(await succeed('ctr', ctr('content', 'ls', '-q')), '', 'the store is empty')
    }

    const layout = join(directory, 'layout')
    const digest = await writeLayout(layout, {
      tag: '1',
      layers: [9 * MiB, 4096],
      architectures: ['amd64', 'arm64'],
    })
    const archive = join(directory, 'layout.tar')
    await succeed('tar', ['-C', layout, '-cf', archive, '.'])
    const base = ['--base-name', `${registry}/team/app`]
    await succeed('ctr', ctr('images', 'import', '--no-unpack', '--all-platforms', ...base, archive))

    const wrong = ['--plain-http', '-u', `${USER.name}:wrong`]
    const refusedPull = await runClient('ctr', ctr('images', 'pull', ...everyPlatform, ...wrong, image))
    t.not(refusedPull.code, 0, 'a pull with a wrong password is refused')
    t.match(refusedPull.output, /401 Unauthorized|authorization failed/, 'with a message')

    await succeed('ctr', ctr('images', 'push', ...plain, image))
    t.equal(await farSide.digestOf('team/app', '1'), digest, 'the index arrives unchanged')

    const other = `${registry}/team/other:1`
    await succeed('ctr', ctr('images', 'tag', image, other))
    await succeed('ctr', ctr('images', 'push', ...plain, other))
    t.equal(
      await farSide.digestOf('team/other', '1'),
      digest,
      'layers can be asked for from another repository',
    )
    await succeed('ctr', ctr('images', 'rm', '--sync', other))

    // It asks for every blob at once, so this soon comes to too many attempts, which must not lock out the right ones.
    const refusedPush = await runClient('ctr', ctr('images', 'push', ...wrong, image))
    t.not(refusedPush.code, 0, 'a push with a wrong password is refused')
    t.match(
      refusedPush.output,
      /401 Unauthorized|authorization failed|429 Too Many Requests/,
      'with a message',
    )

    await empty(image)
    await stage.expireToken()
    const calls = stage.tokenCalls()
    // A pull begins by a HEAD, which the upstream answers for a user who may push, whatever the mirror keeps.
    await succeed('ctr', ctr('images', 'pull', ...everyPlatform, ...plain, image))
    t.equal(stage.tokenCalls(), calls + 1, 'a token that has expired costs one renewal')
    const blobs = (await readdir(join(layout, 'blobs', 'sha256'))).map(hex => `sha256:${hex}`).sort()
    const content = async (): Promise<string[]> =>
      (await succeed('ctr', ctr('content', 'ls', '-q'))).trim().split('\n').sort()
    t.same(await content(), blobs, 'everything comes back under the same digest')

    const hosts = ['--hosts-dir', join(directory, 'certs.d')]
    await writeHosts(join(directory, 'certs.d', farSide.ecr.host), `http://${registry}`)
    const named = `${farSide.ecr.host}/team/app`
    await stage.expireToken()
    await succeed('ctr', ctr('images', 'tag', image, `${named}:2`))
    await succeed('ctr', ctr('images', 'push', ...hosts, `${named}:2`))
    t.equal(stage.tokenCalls(), calls + 2, 'a push renews the next one')
    t.equal(
      await farSide.digestOf('team/app', '2'),
      digest,
      'as the mirror of ECR it takes images by their ECR names',
    )

    await succeed('ctr', ctr('images', 'rm', '--sync', image))
    await empty(`${named}:2`)
    await succeed('ctr', ctr('images', 'pull', ...everyPlatform, ...hosts, `${named}:2`))
    t.same(await content(), blobs, 'and serves them')
    stage.assertNothingLeaked(t)
  })
}

/** containerd's registry host configuration: everything of a registry goes to the mirror, with `ns` in the query. */
async function writeHosts(directory: string, mirror: string): Promise<void> {
  await mkdir(directory, { recursive: true })
  const basic = Buffer.from(CREDENTIALS).toString('base64')
  await writeFile(
    join(directory, 'hosts.toml'),
    `\
server = "${mirror}"
[host."${mirror}"]
  capabilities = ["pull", "resolve", "push"]
[host."${mirror}".header]
  Authorization = "Basic ${basic}"
`,
  )
}
