import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { mirrorOf, type MirrorUnderTest } from '../support/mirror.js'
import { runCommand, type CommandResult } from '../support/run-command.js'

const IMAGE = 'application/vnd.oci.image.manifest.v1+json'
const INDEX = 'application/vnd.oci.image.index.v1+json'
const ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json'
const FOREIGN = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'

interface Stage extends MirrorUnderTest {
  readonly directory: string
  readonly command: (name: string, ...args: string[]) => Promise<CommandResult>
}

async function start(t: Test): Promise<Stage> {
  const ecr = await startEcr({ profile: 'spec' })
  t.teardown(() => ecr.close().catch(() => undefined))
  const directory = await mkdtemp(join(tmpdir(), 'completeness-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const cache = { directory: join(directory, 'cache'), tags: { ttl: '1h' } }
  const mirror = await mirrorOf(t, ecr, { settings: { cache } })
  await cp(dirname(mirror.configFile), join(directory, 'config'), { recursive: true })
  const configFile = join(directory, 'config', 'mirror.json')
  return {
    ...mirror,
    directory,
    command: (name, ...args) => runCommand([name, '--config', configFile, ...args]),
  }
}

interface Descriptor {
  readonly mediaType?: string
  readonly digest: string
  readonly size: number
  readonly urls?: readonly string[]
  readonly platform?: object
}

async function imageWith(ecr: Ecr, layers: readonly Descriptor[], tag?: string): Promise<Descriptor> {
  const config = await ecr.putBlob('team/app', '{}')
  const manifest = { schemaVersion: 2, mediaType: IMAGE, config, layers }
  const { digest, bytes } = ecr.putManifest('team/app', tag, manifest)
  return { mediaType: IMAGE, digest, size: bytes.length }
}

function indexOf(ecr: Ecr, manifests: readonly Descriptor[], tag?: string): Descriptor {
  const { digest, bytes } = ecr.putManifest('team/app', tag, {
    schemaVersion: 2,
    mediaType: INDEX,
    manifests,
  })
  return { mediaType: INDEX, digest, size: bytes.length }
}

async function statusOf({ fetch }: Stage, path: string): Promise<number> {
  const answer = await fetch(`/v2/team/app/${path}`)
  await answer.arrayBuffer()
  return answer.status
}

t.test(
  'a foreign layer that the registry has is fetched, listed, exported and dropped as any other',
  async t => {
    const stage = await start(t)
    const { ecr, command, directory } = stage
    const layer = await ecr.putBlob('team/app', 'a layer with URLs')
    const urls = ['https://elsewhere.example/layer']
    const { digest } = await imageWith(ecr, [{ ...layer, mediaType: FOREIGN, urls }], '1')
    const bundle = join(directory, 'bundle.tar')
    t.equal(await statusOf(stage, `manifests/${digest}`), 200)
    const { config } = JSON.parse(ecr.manifest('team/app', '1')!.bytes.toString()) as { config: Descriptor }
    for (const path of ['manifests/1', `blobs/${config.digest}`]) t.equal(await statusOf(stage, path), 200)
    t.match((await command('images')).out, /main\/team\/app:1 .* unknown: .*layers that may be elsewhere/)
    t.match(await command('export', 'team/app:1', '-o', bundle), {
      code: 1,
      err: new RegExp(`not in the cache, ${layer.digest}; .*ecr-mirror warm .*--without-foreign-layers`),
    })
    t.match(await command('export', 'team/app:1', '-o', bundle, '--without-foreign-layers'), {
      code: 0,
      out: new RegExp(`without ${layer.digest}`),
    })

    t.equal((await command('warm', 'team/app:1')).code, 0)
    t.match((await command('images')).out, /main\/team\/app:1 .* complete/)
    const exported = await command('export', 'team/app:1', '-o', bundle)
    t.equal(exported.code, 0, exported.err)
    t.notMatch(exported.out, /without/)
    await ecr.close()
    t.equal(await statusOf(stage, `blobs/${layer.digest}`), 200)
    t.match(await command('purge', 'team/app:1'), { code: 0, out: /dropped, 3 files/ })
  },
)

t.test(
  'a foreign layer that the registry does not have is told of, and leaves its image unknown',
  async t => {
    const { ecr, command } = await start(t)
    const layer = await ecr.putBlob('other/app', 'elsewhere only')
    await imageWith(ecr, [{ ...layer, mediaType: FOREIGN }], '1')
    t.match(await command('warm', 'team/app:1'), {
      code: 0,
      out: /without 1 layers that are fetched from elsewhere, which the registry does not have/,
    })
    t.match((await command('images')).out, /main\/team\/app:1 .* unknown/)
  },
)

t.test('an index in an index is followed, whole and for one platform', async t => {
  const stage = await start(t)
  const { ecr, command, directory } = stage
  const layers = await Promise.all(['amd64', 'arm64'].map(each => ecr.putBlob('team/app', `layer ${each}`)))
  const [amd64, arm64] = await Promise.all(layers.map(layer => imageWith(ecr, [layer])))
  const platformed = [
    { ...amd64!, platform: { os: 'linux', architecture: 'amd64' } },
    { ...arm64!, platform: { os: 'linux', architecture: 'arm64' } },
  ]
  const inner = indexOf(ecr, platformed)
  indexOf(ecr, [inner, inner], '1')
  t.equal((await command('warm', '--platform', 'linux/arm64', 'team/app:1')).code, 0)
  const half = await command('images')
  t.match(half.out, /linux\/arm64 .* complete/)
  t.match(half.out, /linux\/amd64 .* lacks/)
  const bundle = join(directory, 'bundle.tar')
  t.match(await command('export', 'team/app:1', '-o', bundle), { code: 1, err: /it lacks/ })
  t.match(await command('export', '--platform', 'linux/arm64', 'team/app:1', '-o', bundle), { code: 0 })
  t.match(await command('warm', '--platform', 'linux/s390x', 'team/app:1'), {
    code: 1,
    err: /there is no linux\/s390x in it; there is linux\/amd64, linux\/arm64/,
  })

  t.equal((await command('warm', 'team/app:1')).code, 0)
  const { out } = await command('images')
  t.equal(out.match(/ complete/g)?.length, 2)
  t.equal(out.trim().split('\n').length, 3, 'each once')
  t.equal((await command('export', 'team/app:1', '-o', bundle)).code, 0)
  await ecr.close()
  for (const { digest } of [inner, amd64!, arm64!]) t.equal(await statusOf(stage, `manifests/${digest}`), 200)
  for (const { digest } of layers) t.equal(await statusOf(stage, `blobs/${digest}`), 200)
})

t.test('of an index that lacks manifests what is there is fetched, and the rest is named', async t => {
  const stage = await start(t)
  const { ecr, command } = stage
  const layer = await ecr.putBlob('team/app', 'layer')
  const there = { ...(await imageWith(ecr, [layer])), platform: { os: 'linux', architecture: 'amd64' } }
  const digest = `sha256:${'0'.repeat(64)}`
  const absent = { mediaType: IMAGE, digest, size: 2, platform: { os: 'linux', architecture: 'arm64' } }
  indexOf(ecr, [absent, there], '1')
  const warmed = await command('warm', 'team/app:1')
  t.equal(warmed.code, 1)
  t.match(warmed.err, new RegExp(`team/app:1: ${digest}: `))
  const { out } = await command('images')
  t.match(out, /linux\/amd64 .* complete/)
  t.match(out, /linux\/arm64 .* lacks/)
  await ecr.close()
  t.equal(await statusOf(stage, `blobs/${layer.digest}`), 200)
})

t.test('an artifact is complete with its blobs, and what is not known is not called complete', async t => {
  const stage = await start(t)
  const { ecr, command, directory } = stage
  const blob = { mediaType: 'a/b', ...(await ecr.putBlob('team/app', 'of an artifact')) }
  ecr.putManifest('team/app', 'artifact', { mediaType: ARTIFACT, blobs: [blob] })
  const custom = 'application/vnd.example.bundle+json'
  ecr.putManifest('team/app', 'custom', { mediaType: custom, parts: [blob] })
  ecr.putManifest('team/app', 'first', { schemaVersion: 1, fsLayers: [{ blobSum: blob.digest }] })
  ecr.putManifest('team/app', 'bare', { schemaVersion: 2, mediaType: IMAGE, layers: [blob] })
  t.equal((await command('warm', 'team/app:artifact')).code, 0)
  t.match((await command('images')).out, /app:artifact .* complete/)
  const bundle = join(directory, 'bundle.tar')
  t.equal((await command('export', 'team/app:artifact', '-o', bundle)).code, 0)
  for (const tag of ['custom', 'first', 'bare']) {
    t.match(
      await command('warm', `team/app:${tag}`),
      { code: 1, err: /cannot be told what belongs to it/ },
      tag,
    )
    t.match((await command('images')).out, new RegExp(`app:${tag} .* unknown: `))
    t.match(await command('export', `team/app:${tag}`, '-o', bundle), {
      code: 1,
      err: /cannot be told what belongs to it/,
    })
  }
  await ecr.close()
  t.equal(await statusOf(stage, `blobs/${blob.digest}`), 200)
})
