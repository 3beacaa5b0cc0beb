import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { writeBuildContext } from './support/build-context.js'
import { FAR_SIDES } from './support/far-side.js'
import { USER } from './support/mirror-process.js'
import { needs } from './support/required-packages.js'
import { runClient, succeed } from './support/run-client.js'
import { setStage } from './support/stage.js'

t.jobs = 2

for (const { name, start, commands, cached } of FAR_SIDES) {
  const required = needs('podman', 'busybox', ...commands)
  t.test(`podman logs in, pushes and pulls in front of ${name}`, required, async t => {
    const stage = await setStage(t, start, cached)
    const { directory, farSide, registry } = stage
    const image = `${registry}/team/app`
    const authfile = ['--authfile', join(directory, 'auth.json')]
    farSide.createRepository('team/app')
    const podman = (store: string, ...args: string[]) => [
      ...['--root', join(directory, store), '--runroot', join(directory, `${store}-run`)],
      ...['--tmpdir', join(directory, `${store}-tmp`), '--storage-driver', 'vfs'],
      ...['--cgroup-manager', 'cgroupfs', '--events-backend', 'file', '--runtime', 'runc', ...args],
    ]

    const login = (password: string) =>
      runClient(
        'podman',
        podman(
          'made',
          'login',
          ...authfile,
          '--tls-verify=false',
          '-u',
          USER.name,
          '--password-stdin',
          registry,
        ),
        { input: password },
      )
    const refused = await login('wrong')
    t.not(refused.code, 0, 'a wrong password is refused')
    t.match(refused.output, /invalid username\/password/, 'with a message')
    t.match(await login(USER.password), { code: 0 }, 'the right one is taken')

    const context = await writeBuildContext(join(directory, 'context'))
    await succeed(
      'podman',
      podman('made', 'build', '--isolation', 'chroot', '--layers', '-t', image, context.directory),
    )
    const digestFile = join(directory, 'digest')
    const push = (tag: string) =>
      succeed('podman', [
        ...podman('made', 'push', '--tls-verify=false', ...authfile),
        ...['--digestfile', digestFile, image, `docker://${image}:${tag}`],
      ])
    await push('1')
    const digest = await readFile(digestFile, 'utf8')
    t.equal(await farSide.digestOf('team/app', '1'), digest, 'the image arrives as it was sent')

    await stage.expireToken()
    const calls = stage.tokenCalls()
    // What was pushed through a mirror that keeps it is pulled without asking anybody.
    const renewals = cached ? 0 : 1
    await succeed('podman', podman('empty', 'pull', '--tls-verify=false', ...authfile, `${image}:1`))
    t.equal(
      stage.tokenCalls(),
      calls + renewals,
      'a token that has expired costs one renewal, if it is needed',
    )
    const format = ['--format', '{{.Digest}}']
    const pulled = await succeed('podman', podman('empty', 'image', 'inspect', ...format, `${image}:1`))
    t.equal(pulled.trim(), digest, 'the image comes back under the same digest')
    const container = (
      await succeed('podman', podman('empty', 'create', '--network', 'host', `${image}:1`))
    ).trim()
    const copy = join(directory, 'noise')
    await succeed('podman', podman('empty', 'cp', `${container}:${context.path}`, copy))
    t.ok(context.noise.equals(await readFile(copy)), 'with the bytes that belong to it')

    await stage.expireToken()
    await push('2')
    t.equal(stage.tokenCalls(), calls + renewals + 1, 'a push renews the next one')
    t.equal(await farSide.digestOf('team/app', '2'), digest)

    const missing = await runClient(
      'podman',
      podman('empty', 'pull', '--tls-verify=false', ...authfile, `${image}:none`),
    )
    t.not(missing.code, 0, 'an image that is not there fails')
    t.match(missing.output, /manifest unknown|Requested image not found/, 'with the reason')

    const registries = join(directory, 'registries.conf')
    await writeFile(
      registries,
      `\
[[registry]]
prefix = "${farSide.ecr.host}"
location = "${farSide.ecr.host}"
[[registry.mirror]]
location = "${registry}"
insecure = true
`,
    )
    const byMirror = { env: { CONTAINERS_REGISTRIES_CONF: registries } }
    await succeed('podman', podman('other', 'pull', ...authfile, `${farSide.ecr.host}/team/app:2`), byMirror)
    t.pass('as the mirror of ECR in registries.conf it serves images under their ECR names')
    stage.assertNothingLeaked(t)
  })
}
