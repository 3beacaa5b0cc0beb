import { mkdtemp, readdir, rm, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { mirrorOf, type MirrorUnderTest } from '../support/mirror.js'
import { runCommand, type CommandResult } from '../support/run-command.js'

const INDEX = 'application/vnd.oci.image.index.v1+json'

interface Stage extends MirrorUnderTest {
  readonly directory: string
  readonly command: (...args: string[]) => Promise<CommandResult>
}

async function start(t: Test): Promise<Stage> {
  const ecr = await startEcr()
  t.teardown(() => ecr.close())
  const directory = await mkdtemp(join(tmpdir(), 'commands-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const mirror = await mirrorOf(t, ecr, { settings: { cache: { directory } } })
  const command = (...args: string[]) =>
    runCommand([args[0]!, '--config', mirror.configFile, ...args.slice(1)])
  return { ...mirror, directory, command }
}

interface Index {
  /** Of all blobs of all platforms, each once. */
  readonly blobs: readonly { digest: string; size: number }[]
  readonly children: readonly string[]
  readonly digest: string
}

async function putIndex(ecr: Ecr, repository: string, tag: string, seed = tag): Promise<Index> {
  const manifests = []
  const blobs = new Map<string, { digest: string; size: number }>()
  for (const architecture of ['amd64', 'arm64']) {
    const layers = [
      { size: 300_000, seed: `${seed} ${architecture}` },
      { size: 10_000, seed: 'shared by all' },
    ]
    const { digest } = await ecr.putImage(repository, undefined, { layers })
    const { bytes, mediaType } = ecr.manifest(repository, digest)!
    manifests.push({ mediaType, digest, size: bytes.length, platform: { os: 'linux', architecture } })
    const image = JSON.parse(bytes.toString()) as {
      config: { digest: string; size: number }
      layers: { digest: string; size: number }[]
    }
    for (const blob of [image.config, ...image.layers]) blobs.set(blob.digest, blob)
  }
  const index = ecr.putManifest(repository, tag, { schemaVersion: 2, mediaType: INDEX, manifests })
  return {
    blobs: [...blobs.values()],
    children: manifests.map(({ digest }) => digest),
    digest: index.digest,
  }
}

const downloads = (ecr: Ecr): number => ecr.count({ at: 's3' })

async function stored(directory: string): Promise<number> {
  const algorithm = join(directory, 'v1/blobs/sha256')
  const folders = await readdir(algorithm)
  const names = await Promise.all(folders.map(folder => readdir(join(algorithm, folder))))
  return names.flat().length
}

function fileOf(directory: string, digest: string): string {
  const hex = digest.slice('sha256:'.length)
  return join(directory, 'v1/blobs/sha256', hex.slice(0, 2), hex)
}

t.test('warm fills the cache through the mirror that runs, and fetches nothing twice', async t => {
  const stage = await start(t)
  const { ecr, command, fetch } = stage
  const index = await putIndex(ecr, 'team/app', '1')
  const first = await command('warm', 'team/app:1')
  t.equal(first.code, 0, first.err)
  t.equal(first.out.match(/ fetched$/gm)?.length, index.blobs.length, 'a line for each blob')
  t.match(first.out, /in the cache: .* of it fetched now/)
  t.equal(downloads(ecr), index.blobs.length)
  const again = await command('warm', 'main/team/app:1', `team/app@${index.digest}`)
  t.equal(again.code, 0, again.err)
  t.equal(downloads(ecr), index.blobs.length)
  t.equal(again.out.match(/there already$/gm)?.length, 2 * index.blobs.length)
  for (const { digest } of index.blobs)
    t.equal((await fetch(`/v2/team/app/blobs/${digest}`)).headers.get('x-cache'), 'hit')
})

t.test('warm of one platform fetches that alone, and says which there are', async t => {
  const { ecr, command } = await start(t)
  const index = await putIndex(ecr, 'team/app', '1')
  const one = await command('warm', '--platform', 'linux/arm64', 'team/app:1')
  t.equal(one.code, 0, one.err)
  t.ok(downloads(ecr) < index.blobs.length)
  const images = await command('images')
  t.match(images.out, /main\/team\/app:1 +linux\/amd64 .* lacks 1 of its parts/)
  t.match(images.out, / +linux\/arm64 .* complete/)
  const none = await command('warm', '--platform', 'linux/s390x', 'team/app:1')
  t.equal(none.code, 1)
  t.match(none.err, /there is no linux\/s390x in it; there is linux\/amd64, linux\/arm64/)
})

t.test('what cannot be had is said, and the rest is fetched', async t => {
  const { ecr, command } = await start(t)
  await putIndex(ecr, 'team/app', '1')
  const result = await command('warm', 'team/none:1', 'team/app:2', 'team/app:1')
  t.equal(result.code, 1)
  t.match(result.err, /team\/none:1: The repository with name 'team\/none' does not exist/)
  t.match(result.err, /team\/app:2: Requested image not found/)
  t.match(result.err, /not all is in the cache of: team\/none:1, team\/app:2/)
  t.match((await command('images')).out, /complete/)
  t.match(await command('warm', 'Team/App'), { code: 2, err: /is no image; expected one such as/ })
})

const MiB = 1024 * 1024

/** Bytes that storage was asked for, of a blob of that size. */
function askedFor(ecr: Ecr, since: number, size: number): number {
  return ecr.requests.slice(since).reduce((sum, { at, headers }) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(String(headers.range)) ?? []
    return at === 's3' && Number(last) < size ? sum + Number(last) - Number(first) + 1 : sum
  }, 0)
}

t.test('a mirror that ends lets what commands have begun end, and refuses the rest in words', async t => {
  const { ecr, app, command } = await start(t)
  const { blobs } = await putIndex(ecr, 'team/app', '1')
  ecr.knobs.s3.slow = 300_000
  const warming = command('warm', 'team/app:1')
  await ecr.arrived({ at: 's3' }, 3)
  const closed = app.close(AbortSignal.timeout(30_000))
  t.match(await command('purge', 'team/app:1'), {
    code: 1,
    err: /could not be dropped: The mirror is ending\./,
  })
  const { code, out, err } = await warming
  t.equal(code, 1)
  t.equal([...out.matchAll(/sha256:\w+… +.*fetched/g)].length, 3, 'those that were being fetched')
  t.equal([...err.matchAll(/The mirror is ending\./g)].length, blobs.length - 3, 'the others')
  await closed
})

t.test('warm that is interrupted goes on where it stopped', { timeout: 120_000 }, async t => {
  for (const running of [true, false]) {
    const { ecr, app, command, configFile, directory, log } = await start(t)
    if (!running) await app.close()
    const size = 200 * MiB
    await ecr.putImage('team/app', '1', { layers: [{ size, seed: 'large' }] })
    ecr.knobs.s3.slow = MiB / 2
    const interrupt = new AbortController()
    const first = runCommand(['warm', '--config', configFile, 'team/app:1'], {
      interrupt: interrupt.signal,
    })
    await ecr.arrived({ at: 's3' }, 9)
    await new Promise(resolve => setTimeout(resolve, 1_500))
    interrupt.abort()
    const { code, err } = await first
    t.equal(code, 1)
    t.match(err, /stopped; what was fetched is kept/)
    const received = (): unknown => log.find(({ msg }) => msg === 'fill suspended')?.['received']
    const suspended = async (): Promise<boolean> =>
      running ? received() !== undefined : (await readdir(join(directory, 'v1/partial'))).length > 0
    while (!(await suspended())) await new Promise(resolve => setTimeout(resolve, 100))

    ecr.knobs.s3.slow = undefined
    const before = ecr.requests.length
    t.equal((await command('warm', 'team/app:1')).code, 0)
    const asked = askedFor(ecr, before, size)
    t.ok(asked < size - MiB, `${asked} of ${size} bytes are asked for again`)
    if (running) t.equal(asked, size - Number(received()), 'just what was missing')
    const after = ecr.requests.length
    t.equal((await command('warm', 'team/app:1')).code, 0)
    t.equal(askedFor(ecr, after, size), 0)
  }
})

t.test('without a running mirror the commands own the directory themselves', async t => {
  const { ecr, app, command, directory } = await start(t)
  const index = await putIndex(ecr, 'team/app', '1')
  await app.close()
  t.equal((await command('warm', 'team/app:1')).code, 0)
  t.equal(downloads(ecr), index.blobs.length)
  t.equal((await command('warm', 'team/app:1')).code, 0)
  t.equal(downloads(ecr), index.blobs.length)
  t.equal((await command('images')).out.match(/complete/g)?.length, 2)
  t.match(await command('purge', 'team/app:1'), { code: 0, out: /^team\/app:1: dropped, \d+ files/ })
  t.equal(await stored(directory), 0)
  t.match((await command('images')).out, /No image is cached yet/)
})

t.test('images tells what is missing, one blob at a time', async t => {
  const { ecr, command, directory } = await start(t)
  const index = await putIndex(ecr, 'team/app', '1')
  await command('warm', 'team/app:1')
  interface Row {
    readonly image: string
    readonly platform: string
    readonly size: number
    readonly complete: boolean
    readonly missing: { digest: string; what: string }[]
  }
  const rows = async () => JSON.parse((await command('images', '--json')).out) as Row[]
  const all = await rows()
  t.same(
    all.map(({ image, platform, complete }) => [image, platform, complete]),
    [
      ['main/team/app:1', 'linux/amd64', true],
      ['main/team/app:1', 'linux/arm64', true],
    ],
  )
  t.ok(all.every(({ size }) => size > 310_000))
  for (const { digest } of index.blobs) {
    await unlink(fileOf(directory, digest))
    const incomplete = (await rows()).filter(({ complete }) => !complete)
    t.ok(incomplete.length > 0, 'it is no longer called complete')
    t.ok(
      incomplete.some(({ missing }) => missing.some(each => each.digest === digest && each.what === 'bytes')),
    )
  }
  await unlink(fileOf(directory, index.children[0]!))
  t.match((await command('images')).out, /linux\/amd64 .* lacks 1 of its parts/)
})

t.test('an image pulled by its digest alone is listed too, one of an index is not listed twice', async t => {
  const { ecr, command, fetch } = await start(t)
  const { digest } = await ecr.putImage('team/app', undefined)
  await fetch(`/v2/team/app/manifests/${digest}`)
  await putIndex(ecr, 'team/many', '1')
  await command('warm', 'team/many:1')
  const { out } = await command('images')
  t.match(out, new RegExp(`main/team/app@${digest} .* lacks`))
  t.equal(out.trim().split('\n').length, 4)
})

t.test('purge drops what no other image has, and what is asked for next is fetched anew', async t => {
  const { ecr, command, fetch, directory } = await start(t)
  const [one, two] = [await putIndex(ecr, 'team/app', '1'), await putIndex(ecr, 'team/app', '2')]
  await command('warm', 'team/app:1', 'team/app:2')
  const before = downloads(ecr)
  const shared = one.blobs.filter(({ digest }) => two.blobs.some(other => other.digest === digest))
  t.ok(shared.length > 0)
  const purged = await command('purge', 'team/app:1', 'team/app:none')
  t.equal(purged.code, 1)
  t.match(purged.out, /^team\/app:1: dropped, \d+ files.*\nteam\/app:none: not in the cache\n$/)
  t.notMatch((await command('images')).out, /app:1|@/)
  for (const { digest } of two.blobs)
    t.equal((await fetch(`/v2/team/app/blobs/${digest}`)).headers.get('x-cache'), 'hit')
  t.equal(downloads(ecr), before)
  t.equal((await command('warm', 'team/app:1')).code, 0)
  t.equal(downloads(ecr), before + one.blobs.length - shared.length)

  const { digest } = two.blobs[0]!
  const files = await stored(directory)
  t.match(await command('purge', digest), { code: 0, out: /dropped, 1 files/ })
  t.equal(await stored(directory), files - 1)
  t.match(await command('purge', digest), { code: 1, out: /not in the cache/ })
  t.match(await command('purge', 'No/Name'), { code: 2 })
})

t.test('the socket in the directory lets nobody push or delete, and is gone with the mirror', async t => {
  const { ecr, directory, app } = await start(t)
  await putIndex(ecr, 'team/app', '1')
  const { request } = await import('node:http')
  const ask = (method: string, path: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const asked = request({ socketPath: join(directory, 'v1/lock.sock'), method, path }, answer => {
        answer.resume()
        resolve(answer.statusCode ?? 0)
      })
      asked.on('error', reject).end()
    })
  t.equal(await ask('GET', '/v2/team/app/manifests/1'), 200)
  t.equal(await ask('DELETE', '/v2/team/app/manifests/1'), 403)
  t.equal(await ask('POST', '/v2/team/app/blobs/uploads/'), 403)
  t.equal(await ask('GET', '/v2/_catalog'), 403)
  t.equal(await ask('POST', '/purge'), 400)
  t.equal(await ask('GET', '/elsewhere'), 404)
  await app.close()
  await t.rejects(ask('GET', '/v2/'))
})

t.test('without a cache there is nothing to do', async t => {
  const ecr = await startEcr()
  t.teardown(() => ecr.close())
  const { configFile } = await mirrorOf(t, ecr)
  for (const args of [['warm', 'a:1'], ['images'], ['purge', 'a:1']])
    t.match(await runCommand([...args, '--config', configFile]), {
      code: 2,
      err: /there is no cache: set cache.directory/,
    })
})
