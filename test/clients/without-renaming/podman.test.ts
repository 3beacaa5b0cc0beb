import { appendFile, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { makeMachine } from '../support/machine.js'
import { HOST_OF_ONE, HOST_OF_OTHER, LAYER_BYTES, ONE, OTHER, setNamedStage } from '../support/named-stage.js'
import { needs, needsRoot } from '../support/required-packages.js'
import { runClient, succeed } from '../support/run-client.js'
import { scratch } from '../support/scratch.js'

const required = { ...needs('podman', 'buildah', 'skopeo'), ...needsRoot() }

t.test('podman, buildah and skopeo keep ECR names with the files of client-config', required, async t => {
  const stage = await setNamedStage(t, await scratch(t))
  const { directory, ecr, link, one, other, hub } = stage
  const root = await stage.clientFiles('podman')
  // Where a name leads past the mirror, it leads to an address at which nobody listens.
  await appendFile(join(root, 'etc/hosts'), `127.99.99.99 ${HOST_OF_ONE} ${HOST_OF_OTHER}\n`)
  const machine = await makeMachine(t, root)
  const options = { env: machine.env }
  const attempt = (...words: string[]) => {
    const [file, ...args] = machine.command(...words)
    return runClient(file, args, options)
  }
  const run = (...words: string[]) => {
    const [file, ...args] = machine.command(...words)
    return succeed(file, args, options)
  }
  const store = (name: string) => [
    ...['--root', join(directory, name), '--runroot', join(directory, `${name}-run`)],
    ...['--storage-driver', 'vfs'],
  ]
  const podman = (...args: string[]) =>
    run(
      ...['podman', ...store('podman'), '--tmpdir', join(directory, 'podman-tmp')],
      ...['--cgroup-manager', 'cgroupfs', '--events-backend', 'file', '--runtime', 'runc', ...args],
    )
  const buildah = (...args: string[]) => run('buildah', ...store('buildah'), ...args)
  const skopeo = (...args: string[]) => run('skopeo', 'copy', '--all', '--preserve-digests', ...args)
  const contents = async (layout: string): Promise<string[]> =>
    (await readdir(join(layout, 'blobs/sha256'))).map(hex => `sha256:${hex}`).sort()

  const [ofOne, ofOther, ofHub] = ['one', 'other', 'hub'].map(name => join(directory, `copy-${name}`)) as [
    string,
    string,
    string,
  ]
  await skopeo(`docker://${HOST_OF_ONE}/team/app:1`, `oci:${ofOne}:1`)
  t.same(
    await contents(ofOne),
    one.contents,
    'an index with all its platforms comes from the registry of its name',
  )
  await skopeo(`docker://${HOST_OF_OTHER}/team/app:1`, `oci:${ofOther}:1`)
  t.same(await contents(ofOther), other.contents, 'and what is called the same elsewhere from there')
  await skopeo('docker://docker.io/library/busybox:1', `oci:${ofHub}:1`)
  t.same(await contents(ofHub), hub.contents, 'names of Docker Hub lead behind the prefix')

  await podman('pull', '--quiet', `${HOST_OF_OTHER}/team/app:1`)
  const digests = ['--format', '{{range .RepoDigests}}{{.}} {{end}}']
  const ofPodman = await podman('image', 'inspect', ...digests, `${HOST_OF_OTHER}/team/app:1`)
  t.ok(ofPodman.includes(`${HOST_OF_OTHER}/team/app@${other.digest}`), 'podman knows it by that name')
  await buildah('pull', '--quiet', 'docker.io/library/busybox:1')
  t.match(
    await buildah('images', '--format', '{{.Name}}:{{.Tag}}'),
    'docker.io/library/busybox:1',
    'so does buildah',
  )

  link.cutAfter(LAYER_BYTES / 2)
  const byOwnName = `${new URL(link.url).host}/one/team/app:1`
  const toCopy = [`docker://${byOwnName}`, `dir:${join(directory, 'cut')}`]
  const cut = await attempt('skopeo', 'copy', '--all', ...toCopy)
  t.equal(link.cuts, 1, 'a layer is cut in the middle')
  t.match(cut.output, 'unexpected EOF', 'which ends the pull: these versions do not resume')
  link.cutAfter(LAYER_BYTES / 2)
  const byEcrName = await attempt(
    'skopeo',
    'copy',
    `docker://${HOST_OF_ONE}/team/app:1`,
    `dir:${join(directory, 'cut')}`,
  )
  t.match(byEcrName.output, 'unexpected EOF', 'by either name')
  await run('skopeo', 'copy', '--all', ...toCopy)
  t.notOk(stage.statuses('blob').includes(206), 'and the next one begins the layer again')

  ecr.createRepository('team/pushed', OTHER)
  const asked = ecr.requests.length
  const past = await attempt('skopeo', 'copy', `oci:${ofOne}:1`, `docker://${HOST_OF_OTHER}/team/pushed:1`)
  t.not(past.code, 0, 'a push by an ECR name')
  t.match(past.output, /127\.99\.99\.99/, 'goes to ECR itself')
  t.equal(ecr.requests.length, asked, 'and not through the mirror')

  const own = `${new URL(link.url).host}/other/team/pushed`
  await skopeo(`oci:${ofOne}:1`, `docker://${own}:1`)
  t.equal(ecr.manifest('team/pushed', '1', OTHER)?.digest, one.digest, "by the mirror's own name it arrives")
  t.equal(ecr.manifest('team/pushed', '1', ONE), undefined)
  const digestFile = join(directory, 'digest')
  await podman('push', '--digestfile', digestFile, `${HOST_OF_OTHER}/team/app:1`, `docker://${own}:2`)
  t.equal(ecr.manifest('team/pushed', '2', OTHER)?.digest, await readFile(digestFile, 'utf8'))
  await buildah('push', '--digestfile', digestFile, 'docker.io/library/busybox:1', `docker://${own}:3`)
  t.equal(ecr.manifest('team/pushed', '3', OTHER)?.digest, await readFile(digestFile, 'utf8'))
  stage.assertNothingLeaked(t)
})
