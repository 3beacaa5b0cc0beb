import t from 'tap'
import type { LocalImage } from '../support/images.js'
import { PUSH_CLIENTS } from '../support/push-clients.js'
import { digestOf } from '../support/pushing.js'
import {
  head,
  holds,
  image,
  index,
  layers,
  OCI,
  other,
  pullAll,
  REPOSITORY,
  startStage,
  type Stage,
} from '../support/reading-and-writing.js'

t.test(
  'a HEAD by somebody who may push is the word of the upstream, or says that it cannot be had',
  async t => {
    const stage = await startStage(t)
    const { ecr, fetch, clock, link } = stage
    await PUSH_CLIENTS['skopeo']!(stage.to, image, 'prod')
    await pullAll(fetch, 'prod', image)
    const paths = ['manifests/prod', `manifests/${image.digest}`, `blobs/${digestOf(layers[0]!)}`]
    for (const path of paths) {
      const before = ecr.count({ method: 'HEAD' })
      const answer = await head(fetch, path)
      t.equal(answer.status, 200)
      t.equal(answer.headers.get('x-cache'), 'bypass', path)
      t.equal(ecr.count({ method: 'HEAD' }) - before, 1)
    }
    for (const age of [0, 2 * 3_600_000]) {
      clock.now += age
      await link.cut()
      for (const answer of await Promise.all(paths.map(path => head(fetch, path)))) {
        t.equal(answer.status, 502)
        t.equal(answer.headers.get('x-cache'), null)
      }
      await link.mend()
      ecr.knobs.throttle = { BatchGetImage: { next: 9 }, BatchCheckLayerAvailability: { next: 9 } }
      for (const answer of await Promise.all(paths.map(path => head(fetch, path)))) {
        t.equal(answer.status, 429)
        t.ok(answer.headers.get('retry-after'))
      }
      ecr.knobs.throttle = {}
    }
  },
)

t.test(
  'a HEAD by somebody who may only pull comes from the cache, also while the upstream is away',
  async t => {
    const stage = await startStage(t)
    const { ecr, read, clock, link } = stage
    await PUSH_CLIENTS['docker']!(stage.to, image, 'prod')
    await pullAll(read, 'prod', image)
    const paths = ['manifests/prod', `manifests/${image.digest}`, `blobs/${digestOf(layers[0]!)}`]
    const before = ecr.requests.length
    const results = async (): Promise<(string | null)[]> => {
      const answers = await Promise.all(paths.map(path => head(read, path, { accept: OCI })))
      return answers.map(({ headers }) => headers.get('x-cache'))
    }
    t.same(await results(), ['hit', 'hit', 'hit'])
    t.equal(ecr.requests.length, before, 'the upstream is not asked')
    clock.now += 2 * 3_600_000
    await link.cut()
    t.same(await results(), ['stale', 'stale', 'stale'])
  },
)

t.test('fifty pulls of what was just pushed cost the upstream nothing', async t => {
  const stage = await startStage(t)
  await PUSH_CLIENTS['docker']!(stage.to, image, 'prod')
  const pull = async (): Promise<void> => {
    for (const blob of image.blobs) {
      const answer = await stage.read(`/v2/${REPOSITORY}/blobs/${digestOf(blob)}`)
      t.ok(Buffer.from(await answer.arrayBuffer()).equals(blob))
    }
  }
  await Promise.all(Array.from({ length: 50 }, pull))
  t.equal(stage.ecr.count({ at: 's3' }), 0)
})

t.test('nothing that is kept is good enough for who sends no-cache, whatever it is', async t => {
  const stage = await startStage(t)
  const { ecr, read, link } = stage
  await PUSH_CLIENTS['docker']!(stage.to, image, 'prod')
  await pullAll(read, 'prod', image)
  const paths = [
    'manifests/prod',
    `manifests/${image.digest}`,
    `blobs/${digestOf(layers[0]!)}`,
    `referrers/${image.digest}`,
  ]
  await read(`/v2/${REPOSITORY}/referrers/${image.digest}`)
  const anew = { 'cache-control': 'max-age=0, No-Cache' }
  const ask = (path: string, method: string, headers: Record<string, string> = anew) =>
    read(`/v2/${REPOSITORY}/${path}`, { method, headers: { accept: OCI, ...headers } })
  for (const path of paths) {
    for (const method of path.startsWith('referrers') ? ['GET'] : ['GET', 'HEAD']) {
      const before = ecr.requests.length
      const answer = await ask(path, method)
      await answer.arrayBuffer()
      t.equal(answer.status, 200)
      t.equal(ecr.requests.length - before, 1, `${method} ${path} is asked upstream`)
      t.equal(ecr.count({ at: 's3' }), 0, 'and no blob is fetched for it')
    }
  }
  await link.cut()
  for (const path of paths) {
    t.equal((await ask(path, 'GET')).status, 502, `${path} cannot be asked for anew`)
    t.equal((await ask(path, 'GET', {})).headers.get('x-cache'), 'hit')
  }
  await link.mend()
  ecr.recreateRepository(REPOSITORY)
  for (const path of paths.slice(0, 3)) {
    t.equal((await ask(path, 'GET')).status, 404)
    t.equal((await ask(path, 'GET', {})).status, 404, `${path} is forgotten for everybody`)
  }
})

/** The manifest alone, as a client sends it that believes the rest to be there. */
const putManifest = ({ fetch }: Stage, { bytes, mediaType }: LocalImage, tag: string) =>
  fetch(`/v2/${REPOSITORY}/manifests/${tag}`, {
    method: 'PUT',
    body: new Uint8Array(bytes),
    headers: { 'content-type': mediaType },
  })

t.test(
  'a push that is refused for what it lacks ends what was believed of that, also after a restart',
  async t => {
    for (const restarts of [false, true]) {
      for (const pushed of [image, index]) {
        const stage = await startStage(t)
        await PUSH_CLIENTS['docker']!(stage.to, pushed, 'prod')
        await pullAll(stage.read, 'prod', pushed)
        stage.ecr.recreateRepository(REPOSITORY)
        const [child = pushed] = pushed.children
        const paths = [
          ...pushed.children.map(({ digest }) => `manifests/${digest}`),
          ...child.blobs.map(blob => `blobs/${digestOf(blob)}`),
        ]
        for (const path of paths) t.equal((await head(stage.read, path)).headers.get('x-cache'), 'hit')
        const refused = await putManifest(stage, pushed, 'prod')
        t.equal(refused.status, 404)
        t.equal((await refused.json()).errors[0].code, 'MANIFEST_BLOB_UNKNOWN')
        const after = restarts ? await stage.restart() : stage
        for (const path of paths) t.equal((await head(after.read, path)).status, 404, path)
        await after.app.close()
      }
    }
  },
)

t.test('a push that is refused for its tag alone ends nothing', async t => {
  const stage = await startStage(t)
  await PUSH_CLIENTS['docker']!(stage.to, image, 'prod')
  await pullAll(stage.read, 'prod', image)
  stage.ecr.knobs.immutableTags = true
  t.equal((await putManifest(stage, image, 'prod')).status, 400)
  const blob = await head(stage.read, `blobs/${digestOf(layers[0]!)}`)
  t.equal(blob.headers.get('x-cache'), 'hit')
})

t.test(
  'a repository that the upstream does not know is forgotten whole, whatever was asked of it',
  async t => {
    const requests: Record<string, (stage: Stage) => Promise<Response>> = {
      'the beginning of an upload': ({ fetch }) =>
        fetch(`/v2/${REPOSITORY}/blobs/uploads/`, { method: 'POST' }),
      'the list of its tags': ({ read }) => read(`/v2/${REPOSITORY}/tags/list`),
      'a manifest by tag': ({ read }) => read(`/v2/${REPOSITORY}/manifests/none`),
      'a push': stage => putManifest(stage, other, 'prod'),
      'its referrers': ({ read }) => read(`/v2/${REPOSITORY}/referrers/${other.digest}`),
    }
    for (const [what, ask] of Object.entries(requests)) {
      const stage = await startStage(t)
      await PUSH_CLIENTS['docker']!(stage.to, image, 'prod')
      await pullAll(stage.read, 'prod', image)
      stage.ecr.deleteRepository(REPOSITORY)
      const answer = await ask(stage)
      t.equal(answer.status, 404, what)
      t.match(await answer.text(), 'NAME_UNKNOWN')
      stage.ecr.createRepository(REPOSITORY)
      const after = await stage.restart()
      for (const path of ['manifests/prod', `manifests/${image.digest}`, `blobs/${digestOf(layers[0]!)}`])
        t.equal((await head(after.read, path)).status, 404, `${what}: ${path}`)
      await after.app.close()
    }
  },
)

t.test('repositories that never were are not remembered as dropped', async t => {
  const stage = await startStage(t)
  await PUSH_CLIENTS['docker']!(stage.to, image, 'prod')
  await pullAll(stage.read, 'prod', image)
  for (let count = 0; count < 20; count++)
    t.equal((await stage.read(`/v2/none/n${count}/tags/list`)).status, 404)
  t.equal((await head(stage.read, `blobs/${digestOf(layers[0]!)}`)).headers.get('x-cache'), 'hit')
})

t.test(
  'what was known of a repository does not count for one that the mirror creates under its name',
  async t => {
    const stage = await startStage(t, { upstream: { createRepositories: { match: ['**'] } } })
    for (const [client, push] of Object.entries(PUSH_CLIENTS)) {
      await push(stage.to, image, 'prod')
      await pullAll(stage.read, 'prod', image)
      stage.ecr.deleteRepository(REPOSITORY)
      if (client === 'docker') {
        const begun = await stage.fetch(`/v2/${REPOSITORY}/blobs/uploads/`, { method: 'POST' })
        t.equal(begun.status, 202)
        for (const path of ['manifests/prod', `blobs/${digestOf(layers[0]!)}`])
          t.equal((await head(stage.read, path)).status, 404, path)
      }
      await push(stage.to, image, 'prod')
      await holds(t, stage.ecr, 'prod', image)
    }
  },
)

t.test(
  'what a HEAD for a push is told is not there is forgotten for reading, with all that is in it',
  async t => {
    const stage = await startStage(t)
    await PUSH_CLIENTS['docker']!(stage.to, index, 'prod')
    await pullAll(stage.read, 'prod', index)
    stage.ecr.recreateRepository(REPOSITORY)
    const [child] = index.children
    t.equal((await head(stage.read, `manifests/${child!.digest}`)).headers.get('x-cache'), 'hit')
    t.equal((await head(stage.fetch, `manifests/${index.digest}`)).status, 404)
    for (const path of [`manifests/${child!.digest}`, `blobs/${digestOf(child!.blobs[0]!)}`])
      t.equal((await head(stage.read, path)).status, 404, path)
    t.equal((await head(stage.fetch, 'manifests/prod')).status, 404)
    t.equal((await head(stage.read, 'manifests/prod')).status, 404)
  },
)

t.test('what a HEAD for a push is told of a tag is what readers are told from then on', async t => {
  const stage = await startStage(t)
  await PUSH_CLIENTS['docker']!(stage.to, other, 'other')
  await PUSH_CLIENTS['docker']!(stage.to, image, 'prod')
  const accept = `${OCI}, */*`
  await (await stage.read(`/v2/${REPOSITORY}/manifests/prod`, { headers: { accept } })).arrayBuffer()
  stage.ecr.moveTag(REPOSITORY, 'prod', 'other')
  t.equal((await head(stage.fetch, 'manifests/prod')).headers.get('docker-content-digest'), other.digest)
  const read = await stage.read(`/v2/${REPOSITORY}/manifests/prod`, { headers: { accept } })
  t.equal(read.headers.get('docker-content-digest'), other.digest)
  t.ok(Buffer.from(await read.arrayBuffer()).equals(other.bytes))
})
