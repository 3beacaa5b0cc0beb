import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { FAR_SIDES } from './support/far-side.js'
import { writeLayout } from './support/image-layout.js'
import { USER } from './support/mirror-process.js'
import { pullsCostNothing } from './support/pulls-cost-nothing.js'
import { needs } from './support/required-packages.js'
import { runClient, succeed } from './support/run-client.js'
import { setStage } from './support/stage.js'

t.jobs = 2

const MiB = 1024 * 1024
const LAYERS = [9 * MiB, 4096, 0]
const AS_IT_IS = ['--all', '--preserve-digests']

for (const { name, start, commands, cached } of FAR_SIDES) {
  const required = needs('skopeo', ...commands)
  t.test(`skopeo logs in, pushes and pulls an index in front of ${name}`, required, async t => {
    const stage = await setStage(t, start, cached)
    const { directory, farSide, registry } = stage
    const image = `docker://${registry}/team/app`
    const authfile = ['--authfile', join(directory, 'auth.json')]
    farSide.createRepository('team/app')

    const login = (password: string) =>
      runClient(
        'skopeo',
        ['login', ...authfile, '--tls-verify=false', '-u', USER.name, '--password-stdin', registry],
        { input: password },
      )
    const refused = await login('wrong')
    t.not(refused.code, 0, 'a wrong password is refused')
    t.match(refused.output, /invalid username\/password/, 'with a message')
    t.match(await login(USER.password), { code: 0 }, 'the right one is taken')

    const pushed = join(directory, 'pushed')
    const digest = await writeLayout(pushed, { tag: '1', layers: LAYERS, architectures: ['amd64', 'arm64'] })
    const push = (tag: string) =>
      succeed('skopeo', [
        'copy',
        ...AS_IT_IS,
        ...authfile,
        '--dest-tls-verify=false',
        `oci:${pushed}:1`,
        `${image}:${tag}`,
      ])
    await push('1')
    t.equal(await farSide.digestOf('team/app', '1'), digest, 'the index arrives unchanged')

    if (cached && farSide.url === farSide.ecr.url)
      await pullsCostNothing(t, farSide.ecr, registry, 'team/app', '1', directory)
    await stage.expireToken()
    const calls = stage.tokenCalls()
    // What was pushed through a mirror that keeps it is pulled without asking anybody.
    const renewals = cached ? 0 : 1
    const pulled = join(directory, 'pulled')
    await succeed('skopeo', [
      'copy',
      ...AS_IT_IS,
      ...authfile,
      '--src-tls-verify=false',
      '--dest-oci-accept-uncompressed-layers',
      `${image}:1`,
      `oci:${pulled}:1`,
    ])
    t.equal(
      stage.tokenCalls(),
      calls + renewals,
      'a token that has expired costs one renewal, if it is needed',
    )
    const blobs = await blobsIn(pushed)
    t.ok(blobs.length >= 9, 'two images and an index have so many blobs')
    t.same(await blobsIn(pulled), blobs, 'everything comes back under the same digest')
    t.same(await wronglyNamed(pulled), [], 'with the bytes that belong to it')

    await stage.expireToken()
    await push('2')
    t.equal(stage.tokenCalls(), calls + renewals + 1, 'a push renews the next one')
    t.equal(await farSide.digestOf('team/app', '2'), digest)

    const listed = await succeed('skopeo', ['list-tags', ...authfile, '--tls-verify=false', image])
    t.same((JSON.parse(listed) as { Tags: string[] }).Tags, ['1', '2'])
    stage.assertNothingLeaked(t)
  })
}

async function blobsIn(layout: string): Promise<string[]> {
  return (await readdir(join(layout, 'blobs', 'sha256'))).sort()
}

/** The blobs whose bytes are not what their names say. */
async function wronglyNamed(layout: string): Promise<string[]> {
  const wrong: string[] = []
  for (const name of await blobsIn(layout)) {
    const hash = createHash('sha256')
    await pipeline(createReadStream(join(layout, 'blobs', 'sha256', name)), hash)
    if (hash.digest('hex') !== name) wrong.push(name)
  }
  return wrong
}
