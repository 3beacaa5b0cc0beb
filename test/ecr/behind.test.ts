import t from 'tap'
import { ask } from './ask.js'
import { startEcr, type Ecr } from './ecr.js'

const NAME = 'team/app'

async function start(t: { teardown: (close: () => Promise<void>) => void }): Promise<Ecr> {
  const ecr = await startEcr()
  t.teardown(() => ecr.close())
  return ecr
}

const head = async (ecr: Ecr, path: string): Promise<number> =>
  (await ask(ecr, `/v2/${NAME}/${path}`, { method: 'HEAD' })).status

t.test('a repository that is created anew has nothing in it', async t => {
  const ecr = await start(t)
  const image = await ecr.putImage(NAME, '1')
  ecr.deleteRepository(NAME)
  t.match((await ask(ecr, `/v2/${NAME}/manifests/1`)).text(), 'NAME_UNKNOWN')
  await ecr.putImage(NAME, '1')
  ecr.recreateRepository(NAME)
  t.match((await ask(ecr, `/v2/${NAME}/manifests/1`)).text(), 'MANIFEST_UNKNOWN')
  t.equal(await head(ecr, `blobs/${image.config.digest}`), 404)
})

t.test('an image that expires takes the layers that no other has', async t => {
  const ecr = await start(t)
  const shared = Buffer.from('shared')
  const first = await ecr.putImage(NAME, '1', { layers: [shared, Buffer.from('own')] })
  await ecr.putImage(NAME, '2', { layers: [shared], label: 'another' })
  const loose = await ecr.putBlob(NAME, 'of no image')
  ecr.expire(NAME, '1')
  t.equal(await head(ecr, 'manifests/1'), 404)
  t.equal(await head(ecr, `manifests/${first.digest}`), 404)
  const [common, own] = first.layers
  t.equal(await head(ecr, `blobs/${common!.digest}`), 200)
  t.equal(await head(ecr, `blobs/${own!.digest}`), 404)
  t.equal(await head(ecr, `blobs/${loose.digest}`), 200)
  ecr.collectLayers(NAME)
  t.equal(await head(ecr, `blobs/${loose.digest}`), 404)
  t.equal(await head(ecr, `blobs/${common!.digest}`), 200)
})

t.test('a tag that is moved stands for the other image', async t => {
  const ecr = await start(t)
  await ecr.putImage(NAME, 'prod')
  const other = await ecr.putImage(NAME, 'other', { label: 'another' })
  ecr.moveTag(NAME, 'prod', 'other')
  t.equal(ecr.manifest(NAME, 'prod')?.digest, other.digest)
})

t.test('an archived image is not to be pulled until it is pushed again', async t => {
  const ecr = await start(t)
  const image = await ecr.putImage(NAME, '1')
  ecr.archive(NAME, '1')
  for (const path of ['manifests/1', `manifests/${image.digest}`, `blobs/${image.config.digest}`])
    t.equal(await head(ecr, path), 404, path)
  t.same(ecr.tags(NAME), ['1'], 'it is listed')
  const put = await ask(ecr, `/v2/${NAME}/manifests/1`, {
    method: 'PUT',
    body: image.bytes,
    headers: { 'content-type': image.mediaType },
  })
  t.equal(put.status, 201)
  for (const path of ['manifests/1', `blobs/${image.config.digest}`]) t.equal(await head(ecr, path), 200)
})
