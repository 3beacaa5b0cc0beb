import { execFileSync } from 'node:child_process'
import {
  createReadStream,
  existsSync,
  readFileSync,
  readdirSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { finished } from 'node:stream/promises'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { mirrorOf, type MirrorUnderTest } from '../support/mirror.js'
import { runCommand, type CommandResult, type CommandSurroundings } from '../support/run-command.js'

const INDEX = 'application/vnd.oci.image.index.v1+json'
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const ACCEPT = [INDEX, MANIFEST, 'application/vnd.docker.distribution.manifest.v2+json'].join(', ')

interface Stage extends MirrorUnderTest {
  readonly cache: string
  readonly command: (args: readonly string[], surroundings?: CommandSurroundings) => Promise<CommandResult>
  /** Pulls an image with all that belongs to it; how each request met the cache, or its status when it failed. */
  readonly pull: (repository: string, reference: string) => Promise<string[]>
}

/** A mirror in front of the registry, or one that reaches nothing. */
async function start(
  t: Test,
  ecr: Ecr,
  { closed = false, name = 'main', cache: settings = {} } = {},
): Promise<Stage> {
  const cache = await folder(t)
  const nowhere = 'http://127.0.0.1:9'
  const mirror = await mirrorOf(t, ecr, {
    upstream: { name, ...(closed && { endpoint: nowhere, apiEndpoint: nowhere }) },
    settings: { cache: { directory: cache, ...settings } },
  })
  // The other mirror's lies in the same place.
  const own = await folder(t)
  await cp(dirname(mirror.configFile), own, { recursive: true })
  const configFile = join(own, 'mirror.json')
  return {
    ...mirror,
    cache,
    command: ([name = '', ...args], surroundings) =>
      runCommand([name, '--config', configFile, ...args], surroundings),
    async pull(repository, reference) {
      const get = async (path: string): Promise<[string, Buffer]> => {
        const answer = await mirror.fetch(`/v2/${repository}/${path}`, { headers: { accept: ACCEPT } })
        const bytes = Buffer.from(await answer.arrayBuffer())
        return [answer.status === 200 ? String(answer.headers.get('x-cache')) : String(answer.status), bytes]
      }
      const pullManifest = async (each: string): Promise<string[]> => {
        const [result, bytes] = await get(`manifests/${each}`)
        if (/^\d/.test(result)) return [result]
        const {
          manifests = [],
          config,
          layers = [],
        } = JSON.parse(bytes.toString()) as {
          manifests?: { digest: string }[]
          config?: { digest: string }
          layers?: { digest: string }[]
        }
        const children = await Promise.all(manifests.map(({ digest }) => pullManifest(digest)))
        const blobs = [...(config ? [config] : []), ...layers]
        const got = await Promise.all(
          blobs.map(async ({ digest }) => {
            const [how, content] = await get(`blobs/${digest}`)
            const right = content.equals(await ecr.blob(repository, digest)!.bytes())
            return right || /^\d/.test(how) ? how : `wrong ${how}`
          }),
        )
        return [result, ...children.flat(), ...got]
      }
      return pullManifest(reference)
    },
  }
}

async function folder(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'bundles-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

async function startRegistry(t: Test): Promise<Ecr> {
  const ecr = await startEcr()
  t.teardown(() => ecr.close())
  return ecr
}

async function putIndex(ecr: Ecr, repository: string, tag: string): Promise<void> {
  const manifests = []
  for (const architecture of ['amd64', 'arm64']) {
    const layers = [
      { size: 300_000, seed: `${tag} ${architecture}` },
      { size: 10_000, seed: 'shared' },
    ]
    const { digest } = await ecr.putImage(repository, undefined, { layers })
    const { bytes, mediaType } = ecr.manifest(repository, digest)!
    manifests.push({ mediaType, digest, size: bytes.length, platform: { os: 'linux', architecture } })
  }
  ecr.putManifest(repository, tag, { schemaVersion: 2, mediaType: INDEX, manifests })
}

function blobFiles(cache: string): string[] {
  const root = join(cache, 'v1/blobs/sha256')
  return readdirSync(root).flatMap(folder =>
    readdirSync(join(root, folder)).map(name => join(root, folder, name)),
  )
}

t.test('what one mirror exports, another that reaches nothing serves, also after its next start', async t => {
  const ecr = await startRegistry(t)
  const [open, closed] = [await start(t, ecr), await start(t, ecr, { closed: true })]
  await putIndex(ecr, 'team/many', '1')
  const { digest } = await ecr.putImage('team/app', '1')
  await ecr.putImage('team/app', '2')
  const file = join(await folder(t), 'bundle.tar')
  const images = ['team/many:1', 'team/app:1', 'main/team/app:2']
  t.equal((await open.command(['warm', ...images])).code, 0)
  const exported = await open.command(['export', ...images, '-o', file])
  t.equal(exported.code, 0, exported.err)
  t.match(exported.out, new RegExp(`main/team/app:1  ${digest}`))
  t.notOk(existsSync(`${file}.partial`))
  const again = `${file}.again`
  await open.command(['export', ...images, '-o', again])
  t.ok(readFileSync(again).equals(readFileSync(file)), 'twice the same is the same to the byte')

  t.match(await closed.pull('team/app', '1'), [/^50/], 'nothing is there at first')
  const imported = await closed.command(['import', file])
  t.equal(imported.code, 0, imported.err)
  t.match(imported.out, /main\/team\/many:1  sha256:/)
  t.match(imported.out, /set them to forever/)
  const requests = ecr.requests.length
  for (const reference of ['1', '2', digest])
    t.ok(
      (await closed.pull('team/app', reference)).every(how => how === 'hit'),
      reference,
    )
  t.same(new Set(await closed.pull('team/many', '1')), new Set(['hit']))
  t.equal((await closed.command(['images'])).out.match(/complete/g)?.length, 4)
  t.match(await closed.command(['import', file]), { code: 0, out: /0 files stored now \(0 B\)/ })
  t.equal(ecr.requests.length, requests)
})

t.test('by a mirror that does not run, import takes the directory itself', async t => {
  const ecr = await startRegistry(t)
  const [open, closed] = [await start(t, ecr), await start(t, ecr, { closed: true })]
  await putIndex(ecr, 'team/many', '1')
  await open.command(['warm', 'team/many:1'])
  const file = join(await folder(t), 'bundle.tar')
  await open.app.close()
  t.match(await open.command(['export', 'team/many:1', '-o', file]), { code: 0 })
  await closed.app.close()
  t.match(await closed.command(['import', file]), { code: 0 })
  t.equal((await closed.command(['images'])).out.match(/complete/g)?.length, 2)
  t.match(await closed.command(['export', 'team/many:1', '-o', `${file}.back`]), { code: 0 })
  t.ok(readFileSync(file).equals(readFileSync(`${file}.back`)), 'and it exports the very same')
})

t.test('a bundle goes through pipes, gzipped too', async t => {
  const ecr = await startRegistry(t)
  const [open, closed] = [await start(t, ecr), await start(t, ecr, { closed: true })]
  await ecr.putImage('team/app', '1')
  await open.command(['warm', 'team/app:1'])
  const file = join(await folder(t), 'bundle.tar')
  await open.command(['export', 'team/app:1', '-o', file])
  writeFileSync(`${file}.gz`, gzipSync(readFileSync(file)))
  t.match(await closed.command(['import', `${file}.gz`]), {
    code: 0,
    out: /4 files stored now|3 files stored now/,
  })
  const { out, err } = await open.command(['export', 'team/app:1', '-o', '-'])
  t.match(err, /main\/team\/app:1  sha256:/, 'what is said goes elsewhere')
  t.ok(out.startsWith('oci-layout\0'))
  t.match(await closed.command(['import', '-'], { input: 'no archive' }), {
    code: 1,
    err: /nothing was imported: the tar archive is cut off/,
  })
})

t.test('of an index one platform can be exported', async t => {
  const ecr = await startRegistry(t)
  const [open, closed] = [await start(t, ecr), await start(t, ecr, { closed: true })]
  await putIndex(ecr, 'team/many', '1')
  await open.command(['warm', '--platform', 'linux/arm64', 'team/many:1'])
  const file = join(await folder(t), 'bundle.tar')
  t.match(await open.command(['export', 'team/many:1', '-o', file]), {
    code: 1,
    err: /it lacks sha256:.*warm main\/team\/many:1/,
  })
  t.match(await open.command(['export', '--platform', 'linux/s390x', 'team/many:1', '-o', file]), {
    code: 1,
    err: /there is no linux\/s390x in it; there is linux\/amd64, linux\/arm64/,
  })
  t.notOk(existsSync(file))
  t.match(await open.command(['export', '--platform', 'linux/arm64', 'team/many:1', '-o', file]), { code: 0 })
  t.match(await closed.command(['import', file]), { code: 0, out: /without linux\/amd64/ })
  const images = await closed.command(['images'])
  t.match(images.out, / +linux\/arm64 .* complete/)
  t.match(images.out, / +linux\/amd64 .* lacks/)
})

t.test('what is not whole in the cache is not exported, and says what to do', async t => {
  const ecr = await startRegistry(t)
  const { command, cache } = await start(t, ecr)
  await putIndex(ecr, 'team/many', '1')
  await command(['warm', 'team/many:1'])
  const file = join(await folder(t), 'bundle.tar')
  const none = await command(['export', 'team/none:1', 'team/many:1', '-o', file])
  t.match(none, {
    code: 1,
    err: /main\/team\/none:1: it is not in the cache; fetch it with: ecr-mirror warm main\/team\/none:1/,
  })
  t.match(none.err, /1 of 2 images are not complete/)
  for (const path of blobFiles(cache)) {
    const bytes = readFileSync(path)
    unlinkSync(path)
    t.match(await command(['export', 'team/many:1', '-o', file]), { code: 1 }, 'with a file gone')
    const wrong = Buffer.from(bytes)
    wrong[0]! ^= 1
    writeFileSync(path, wrong)
    const result = await command(['export', 'team/many:1', '-o', file])
    t.match(result, { code: 1 }, 'with a wrong byte')
    t.match(result.err, /sha256:[0-9a-f]{64}/)
    truncateSync(path, bytes.length - 1)
    t.match(await command(['export', 'team/many:1', '-o', file]), { code: 1 }, 'with a byte too few')
    writeFileSync(path, bytes)
    t.same(readdirSync(join(file, '..')), [], 'and no file is left')
  }
  t.match(await command(['export', 'team/many:1', '-o', join(file, 'no', 'folder')]), {
    code: 1,
    err: /cannot be written \(ENOENT\)/,
  })
  t.match(await command(['export', 'Team/App', '-o', file]), { code: 2, err: /is no image/ })
  t.match(await command(['export', 'team/many:1']), { code: 2, err: /--output/ })
})

t.test('a bundle that is not right says why, and nothing of it is there', async t => {
  const ecr = await startRegistry(t)
  const [open, closed] = [await start(t, ecr), await start(t, ecr, { closed: true })]
  await ecr.putImage('team/app', '1', { layers: [{ size: 3_000_000, seed: 'large' }] })
  await open.command(['warm', 'team/app:1'])
  const file = join(await folder(t), 'bundle.tar')
  await open.command(['export', 'team/app:1', '-o', file])
  const bytes = readFileSync(file)
  const broken = `${file}.broken`
  for (const at of [bytes.length - 2000, 20_000, 1_500_000]) {
    const wrong = Buffer.from(bytes)
    wrong[at]! ^= 1
    writeFileSync(broken, wrong)
    t.match(await closed.command(['import', broken]), { code: 1, err: /nothing was imported/ }, `byte ${at}`)
  }
  writeFileSync(broken, bytes.subarray(0, 1_000_000))
  t.match(await closed.command(['import', broken]), {
    code: 1,
    err: /nothing was imported: the tar archive is cut off/,
  })
  t.match(await closed.command(['images']), { out: /No image is cached yet/ })
  t.match(await closed.pull('team/app', '1'), [/^50/])
  t.match(await closed.command(['import', join(file, 'none')]), { code: 1, err: /cannot be read/ })
  t.match(await closed.command(['import', join(file, '..')]), { code: 2, err: /is a directory; pack it/ })
  t.match(await closed.command(['import', '--as-upstream', 'none', file]), {
    code: 2,
    err: /no upstream "none", only main/,
  })
  t.equal(closed.log.filter(({ level }) => Number(level) >= 50).length, 0)
})

t.test('a bundle larger than the cache says so', async t => {
  const ecr = await startRegistry(t)
  const open = await start(t, ecr)
  const small = await start(t, ecr, { closed: true, cache: { maxSize: '2MiB' } })
  await ecr.putImage('team/app', '1', { layers: [{ size: 3_000_000, seed: 'large' }] })
  const layers = [1, 2, 3, 4].map(seed => ({ size: 700_000, seed: `several ${seed}` }))
  await ecr.putImage('team/app', '2', { layers })
  await open.command(['warm', 'team/app:1', 'team/app:2'])
  const file = join(await folder(t), 'bundle.tar')
  await open.command(['export', 'team/app:1', '-o', file])
  t.match(await small.command(['import', file]), { code: 1, err: /larger than cache\.maxSize/ })
  await open.command(['export', 'team/app:2', '-o', file])
  t.match(await small.command(['import', file]), {
    code: 1,
    err: /cache\.maxSize is too small for the bundle/,
  })
})

t.test('an import that is interrupted leaves nothing half there, and the next one goes on', async t => {
  const ecr = await startRegistry(t)
  const [open, closed] = [await start(t, ecr), await start(t, ecr, { closed: true })]
  const layers = [1, 2, 3].map(seed => ({ size: 20_000_000, seed: `large ${seed}` }))
  await ecr.putImage('team/app', '1', { layers })
  await open.command(['warm', 'team/app:1'])
  const file = join(await folder(t), 'bundle.tar')
  await open.command(['export', 'team/app:1', '-o', file])
  const interrupt = new AbortController()
  const running = closed.command(['import', file], { interrupt: interrupt.signal })
  const stored = (): string[] =>
    existsSync(join(closed.cache, 'v1/blobs/sha256')) ? blobFiles(closed.cache) : []
  const large = (): number => stored().filter(path => statSync(path).size > 1e6).length
  while (large() === 0) await new Promise(resolve => setTimeout(resolve, 1))
  interrupt.abort()
  t.match(await running, { code: 1, err: /stopped; nothing was imported/ })
  while (readdirSync(join(closed.cache, 'v1/ingest')).length > 0)
    await new Promise(resolve => setTimeout(resolve, 5))
  t.ok(large() < 3, 'it was in the middle')
  t.match(await closed.command(['images']), { out: /No image is cached yet/ })
  const before = stored().length
  t.match(await closed.command(['import', file]), { code: 0, out: new RegExp(` ${before} there already`) })
  t.same(new Set(await closed.pull('team/app', '1')), new Set(['hit']))
})

t.test('a blob that is dropped while it is exported, and an end on demand, leave no file', async t => {
  const ecr = await startRegistry(t)
  const { command, cache } = await start(t, ecr)
  const layers = [1, 2].map(seed => ({ size: 2_000_000, seed: `large ${seed}` }))
  await ecr.putImage('team/app', '1', { layers })
  await command(['warm', 'team/app:1'])
  const large = (): string[] => blobFiles(cache).filter(path => statSync(path).size > 1e6)

  /** Exports to a pipe, and does something once the first bytes have come out of it. */
  async function meanwhile(act: () => void, surroundings?: CommandSurroundings): Promise<CommandResult> {
    const directory = await folder(t)
    const file = join(directory, 'bundle.tar')
    execFileSync('mkfifo', [`${file}.partial`])
    const result = command(['export', 'team/app:1', '-o', file], surroundings)
    const pipe = createReadStream(`${file}.partial`, { highWaterMark: 4096 })
    pipe.once('data', act)
    await finished(pipe)
    const ended = await result
    t.same(readdirSync(directory), [])
    return ended
  }

  const interrupt = new AbortController()
  t.match(await meanwhile(() => interrupt.abort(), { interrupt: interrupt.signal }), {
    code: 1,
    err: /stopped; no bundle was written/,
  })
  t.match(await meanwhile(() => large().forEach(path => unlinkSync(path))), {
    code: 1,
    err: /sha256:[0-9a-f]{64} was dropped from the cache meanwhile/,
  })
})

t.test('a name that means nothing here is told at once, however much is still to come', async t => {
  const ecr = await startRegistry(t)
  const [open, closed] = [await start(t, ecr), await start(t, ecr, { closed: true, name: 'other' })]
  await ecr.putImage('team/app', '1', { layers: [{ size: 20_000_000, seed: 'large' }] })
  await open.command(['warm', 'team/app:1'])
  const file = join(await folder(t), 'bundle.tar')
  await open.command(['export', 'team/app:1', '-o', file])
  t.match(await closed.command(['import', file]), {
    code: 1,
    err: /nothing was imported: the bundle has main\/team\/app:1: no upstream of this mirror is called main, only other; .*--as-upstream other/,
  })
  t.match(await closed.command(['import', '--as-upstream', 'other', file]), { code: 0 })
  t.same(new Set(await closed.pull('team/app', '1')), new Set(['hit']))
})
