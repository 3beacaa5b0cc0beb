import t, { type Test } from 'tap'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startMirror, type MirrorUnderTest } from '../support/mirror.js'

const INDEX = 'application/vnd.oci.image.index.v1+json'

async function start(t: Test, cached: boolean): Promise<MirrorUnderTest & { get: Get }> {
  const directory = await mkdtemp(join(tmpdir(), 'pull-through-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const mirror = await startMirror(t, {
    ecr: { knobs: { pullThrough: ['docker-hub/'] } },
    upstream: { repositoryPrefix: 'docker-hub' },
    // Nothing that was learnt is good for longer than the request.
    settings: cached
      ? {
          cache: {
            directory,
            tags: { ttl: '0s', staleFor: '0s' },
            membership: { ttl: '0s', staleFor: '0s' },
          },
        }
      : {},
  })
  return {
    ...mirror,
    get: (reference, method = 'GET') =>
      mirror.fetch(`/v2/library/app/manifests/${reference}`, { method, headers: { accept: '*/*' } }),
  }
}
type Get = (reference: string, method?: string) => Promise<Response>

for (const cached of [false, true]) {
  t.test(`${cached ? 'with' : 'without'} a cache`, async t => {
    t.test('a digest that is refused comes by the tag that it came by before', async t => {
      const { ecr, get } = await start(t, cached)
      const { digest } = await ecr.putImage('docker-hub/library/app', 'v1')
      t.equal((await get(digest)).status, 404, 'of which nothing is known yet')
      t.equal((await get('v1')).status, 200)
      ecr.forgetFetched()
      const again = await get(digest)
      t.equal(again.status, 200)
      t.equal(again.headers.get('docker-content-digest'), digest)
      t.same(Buffer.from(await again.arrayBuffer()), ecr.manifest('docker-hub/library/app', digest)!.bytes)
      ecr.forgetFetched()
      t.equal((await get(digest, 'HEAD')).status, 200)
    })

    t.test('a tag that has moved since does not stand for it', async t => {
      const { ecr, get } = await start(t, cached)
      const { digest } = await ecr.putImage('docker-hub/library/app', 'v1')
      t.equal((await get('v1')).status, 200)
      ecr.forgetFetched()
      await ecr.putImage('docker-hub/library/app', 'v1', { layers: [{ size: 10, seed: 'another' }] })
      const answer = await get(digest)
      t.equal(answer.status, 404)
      t.match(await answer.json(), { errors: [{ code: 'MANIFEST_UNKNOWN' }] })
    })

    t.test('an image of an index comes once the index was asked for by its tag', async t => {
      const { ecr, get } = await start(t, cached)
      const { digest } = await ecr.putImage('docker-hub/library/app', undefined)
      const { bytes, mediaType } = ecr.manifest('docker-hub/library/app', digest)!
      const manifests = [{ mediaType, digest, size: bytes.length }]
      ecr.putManifest('docker-hub/library/app', 'v1', { schemaVersion: 2, mediaType: INDEX, manifests })
      t.equal((await get('v1')).status, 200)
      ecr.forgetFetched()
      t.equal((await get(digest)).status, 200)
      ecr.forgetFetched()
      t.equal((await get(digest, 'HEAD')).status, 200)
    })

    t.test('a digest that never came by a tag is asked for once', async t => {
      const { ecr, get } = await start(t, cached)
      await ecr.putImage('docker-hub/library/app', 'v1')
      const unknown = `sha256:${'1'.repeat(64)}`
      t.equal((await get(unknown)).status, 404)
      t.equal(ecr.count({ action: 'BatchGetImage' }), 1)
    })
  })
}
