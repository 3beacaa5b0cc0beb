import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { writeBuildContext } from './support/build-context.js'
import { FAR_SIDES } from './support/far-side.js'
import { USER } from './support/mirror-process.js'
import { pullsCostNothing } from './support/pulls-cost-nothing.js'
import { needs } from './support/required-packages.js'
import { runClient, succeed } from './support/run-client.js'
import { setStage } from './support/stage.js'

t.jobs = 2

for (const { name, start, commands, cached } of FAR_SIDES) {
  const required = needs('buildah', 'busybox', 'skopeo', ...commands)
  t.test(`buildah logs in, pushes and pulls in front of ${name}`, required, async t => {
    const stage = await setStage(t, start, cached)
    const { directory, farSide, registry } = stage
    const image = `${registry}/team/app`
    const authfile = ['--authfile', join(directory, 'auth.json')]
    farSide.createRepository('team/app')
    const buildah = (store: string, ...args: string[]) => [
      ...['--root', join(directory, store), '--runroot', join(directory, `${store}-run`)],
      ...['--storage-driver', 'vfs', ...args],
    ]

    const login = (password: string) =>
      runClient(
        'buildah',
        ['login', ...authfile, '--tls-verify=false', '-u', USER.name, '--password-stdin', registry],
        { input: password },
      )
    const refused = await login('wrong')
    t.not(refused.code, 0, 'a wrong password is refused')
    t.match(refused.output, /invalid username\/password/, 'with a message')
    t.match(await login(USER.password), { code: 0 }, 'the right one is taken')

    const context = await writeBuildContext(join(directory, 'context'))
    await succeed(
      'buildah',
      buildah('made', 'bud', '--isolation', 'chroot', '--layers', '-t', image, context.directory),
    )
    const digestFile = join(directory, 'digest')
    const push = (tag: string) =>
      succeed('buildah', [
        ...buildah('made', 'push', '--tls-verify=false', ...authfile),
        ...['--digestfile', digestFile, image, `docker://${image}:${tag}`],
      ])
    await push('1')
    const digest = await readFile(digestFile, 'utf8')
    t.equal(await farSide.digestOf('team/app', '1'), digest, 'the image arrives as it was sent')

    if (cached && farSide.url === farSide.ecr.url)
      await pullsCostNothing(t, farSide.ecr, registry, 'team/app', '1', directory)
    await stage.expireToken()
    const calls = stage.tokenCalls()
    // What was pushed through a mirror that keeps it is pulled without asking anybody.
    const renewals = cached ? 0 : 1
    const id = await succeed(
      'buildah',
      buildah('empty', 'pull', '--quiet', '--tls-verify=false', ...authfile, `${image}:1`),
    )
    t.equal(
      stage.tokenCalls(),
      calls + renewals,
      'a token that has expired costs one renewal, if it is needed',
    )
    const container = (await succeed('buildah', buildah('empty', 'from', '--pull-never', id.trim()))).trim()
    const mounted = (await succeed('buildah', buildah('empty', 'mount', container))).trim()
    t.ok(context.noise.equals(await readFile(join(mounted, context.path))), 'a file comes back as it went')
    t.equal(await readFile(join(mounted, 'made'), 'utf8'), 'made\n')
    await succeed('buildah', buildah('empty', 'rm', container))

    await stage.expireToken()
    await push('2')
    t.equal(stage.tokenCalls(), calls + renewals + 1, 'a push renews the next one')
    t.equal(await farSide.digestOf('team/app', '2'), digest)
    stage.assertNothingLeaked(t)
  })
}
