import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { writeBuildContext } from './support/build-context.js'
import { startDockerd } from './support/dockerd.js'
import { FAR_SIDES } from './support/far-side.js'
import { USER } from './support/mirror-process.js'
import { pullsCostNothing } from './support/pulls-cost-nothing.js'
import { needs, needsRoot } from './support/required-packages.js'
import { runClient, succeed } from './support/run-client.js'
import { setStage } from './support/stage.js'

t.jobs = 2

for (const { name, start, commands, cached } of FAR_SIDES) {
  const required = {
    ...needs('dockerd', 'docker', 'containerd', 'runc', 'busybox', 'skopeo', ...commands),
    ...needsRoot(),
  }
  t.test(`docker logs in, pushes and pulls in front of ${name}`, required, async t => {
    const stage = await setStage(t, start, cached)
    const { directory, farSide, registry } = stage
    const options = await startDockerd(t, directory)
    const docker = (...args: string[]) => succeed('docker', args, options)
    const image = `${registry}/team/app`
    farSide.createRepository('team/app')

    const login = (password: string) =>
      runClient('docker', ['login', '-u', USER.name, '--password-stdin', registry], {
        ...options,
        input: password,
      })
    const refused = await login('wrong')
    t.not(refused.code, 0, 'a wrong password is refused')
    t.match(refused.output, /401 Unauthorized|unauthorized:/, 'with a message')
    t.match(await login(USER.password), { code: 0 }, 'the right one is taken')

    const context = await writeBuildContext(join(directory, 'context'))
    await docker('build', '--network', 'none', '-t', `${image}:1`, context.directory)
    const digest = digestIn(await docker('push', `${image}:1`))
    t.ok(digest, 'the push tells a digest')
    t.equal(await farSide.digestOf('team/app', '1'), digest, 'the image arrives as it was sent')

    await docker('system', 'prune', '--all', '--force')
    t.equal(await docker('images', '--all', '--quiet'), '', 'the store is empty')
    if (cached && farSide.url === farSide.ecr.url)
      await pullsCostNothing(t, farSide.ecr, registry, 'team/app', '1', directory)
    await stage.expireToken()
    const calls = stage.tokenCalls()
    // A pull begins by a HEAD, which the upstream answers for a user who may push, whatever the mirror keeps.
    await docker('pull', `${image}:1`)
    t.equal(stage.tokenCalls(), calls + 1, 'a token that has expired costs one renewal')
    const format = ['--format', '{{index .RepoDigests 0}}']
    t.equal((await docker('image', 'inspect', ...format, `${image}:1`)).trim(), `${image}@${digest}`)
    t.equal(await docker('run', '--rm', '--network', 'none', `${image}:1`), 'made\n', 'what comes back runs')
    const container = (await docker('create', '--network', 'none', `${image}:1`)).trim()
    const copy = join(directory, 'noise')
    await docker('cp', `${container}:${context.path}`, copy)
    t.ok(context.noise.equals(await readFile(copy)), 'a file comes back as it went')

    await docker('tag', `${image}:1`, `${image}:2`)
    await stage.expireToken()
    t.equal(digestIn(await docker('push', `${image}:2`)), digest)
    t.equal(stage.tokenCalls(), calls + 2, 'a push renews the next one')
    t.equal(await farSide.digestOf('team/app', '2'), digest)

    const missing = await runClient('docker', ['pull', `${image}:none`], options)
    t.not(missing.code, 0, 'an image that is not there fails')
    t.match(missing.output, /manifest unknown|not found/, 'with the reason')
    stage.assertNothingLeaked(t)
  })
}

function digestIn(output: string): string | undefined {
  return /digest: (sha256:[0-9a-f]{64})/.exec(output)?.[1]
}
