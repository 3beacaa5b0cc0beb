import assert from 'node:assert/strict'
import { category } from '../case.js'
import { expect, expectBytes, expectError, expectHeader, type Answer, type Client } from '../client.js'
import {
  ACCEPT,
  describe,
  digestOf,
  indexOf,
  manifestOf,
  newBytes,
  newRepository,
  OCI,
  prepareImage,
  pushBlob,
  pushImage,
  pushManifest,
} from '../content.js'

const FOUR_MIB = 4 * 1024 * 1024

async function expectThere(client: Client, answer: Answer, bytes: Buffer): Promise<void> {
  expect(answer, 201)
  const pulled = await client.send('GET', answer.location(), { headers: ACCEPT })
  expect(pulled, 200)
  expectBytes(pulled, bytes)
}

/** A manifest that is as long as wanted, in bytes, and otherwise fine. */
async function manifestOfSize(client: Client, repository: string, size: number): Promise<Buffer> {
  const { manifest } = await prepareImage(client, repository)
  return Buffer.concat([manifest, Buffer.alloc(size - manifest.length, ' ')])
}

/** Distribution-spec, "Pushing Manifests". */
export const manifests = category('manifests', {
  'by tag, under a Location where it can be pulled': async client => {
    const repository = newRepository()
    const { manifest } = await prepareImage(client, repository)
    await expectThere(client, await pushManifest(client, repository, 'a', manifest), manifest)
  },
  'by digest, under a Location where it can be pulled': async client => {
    const repository = newRepository()
    const { manifest, digest } = await prepareImage(client, repository)
    await expectThere(client, await pushManifest(client, repository, digest, manifest), manifest)
  },
  'by tag says the digest': async client => {
    const repository = newRepository()
    const { manifest, digest } = await prepareImage(client, repository)
    expectHeader(await pushManifest(client, repository, 'a', manifest), 'docker-content-digest', digest)
  },
  'by digest says the digest': async client => {
    const repository = newRepository()
    const { manifest, digest } = await prepareImage(client, repository)
    expectHeader(await pushManifest(client, repository, digest, manifest), 'docker-content-digest', digest)
  },
  'a tag can be set anew': async client => {
    const repository = newRepository()
    const first = await pushImage(client, repository, 'a')
    const second = await pushImage(client, repository, 'a')
    expectBytes(await client.send('GET', manifestOf(repository, 'a'), { headers: ACCEPT }), second.manifest)
    expectBytes(
      await client.send('GET', manifestOf(repository, first.digest), { headers: ACCEPT }),
      first.manifest,
    )
  },
  'one of 4 MiB is taken': async client => {
    const repository = newRepository()
    const manifest = await manifestOfSize(client, repository, FOUR_MIB)
    await expectThere(client, await pushManifest(client, repository, 'large', manifest), manifest)
  },
  'one that is too large is 413': async client => {
    const repository = newRepository()
    const manifest = await manifestOfSize(client, repository, FOUR_MIB + 1)
    expect(await pushManifest(client, repository, 'large', manifest), 413)
  },
  'by digest with several tags': async client => {
    const repository = newRepository()
    const { manifest, digest } = await prepareImage(client, repository)
    const tags = Array.from({ length: 10 }, (_, index) => `v1.${index}`)
    const answer = await pushManifest(
      client,
      repository,
      `${digest}?${tags.map(tag => `tag=${tag}`).join('&')}`,
      manifest,
    )
    expect(answer, 201)
    const accepted = (answer.header('oci-tag') ?? '').split(',').map(each => each.trim())
    assert.deepEqual(accepted.sort(), tags)
    for (const tag of tags)
      expectHeader(await client.send('HEAD', manifestOf(repository, tag)), 'docker-content-digest', digest)
  },
  'an index of two images': async client => {
    const repository = newRepository()
    const images = [
      await pushImage(client, repository, undefined),
      await pushImage(client, repository, undefined),
    ]
    const index = indexOf(images.map(image => image.descriptor))
    await expectThere(client, await pushManifest(client, repository, 'a', index, OCI.index), index)
  },
  'an index of an index': async client => {
    const repository = newRepository()
    const inner = indexOf([(await pushImage(client, repository, undefined)).descriptor])
    expect(await pushManifest(client, repository, digestOf(inner), inner, OCI.index), 201)
    const outer = indexOf([describe(OCI.index, inner)])
    await expectThere(client, await pushManifest(client, repository, 'a', outer, OCI.index), outer)
  },
  'an index of nothing': async client => {
    const repository = newRepository()
    await pushImage(client, repository, 'a')
    const index = indexOf([], { annotations: { id: newBytes(4).toString('hex') } })
    await expectThere(client, await pushManifest(client, repository, 'empty', index, OCI.index), index)
  },
  'an artifact with an empty config': async client => {
    const repository = newRepository()
    const empty = Buffer.from('{}')
    const content = newBytes()
    expect(await pushBlob(client, repository, empty), 201)
    expect(await pushBlob(client, repository, content), 201)
    const artifact = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI.manifest,
        artifactType: 'application/vnd.example.sbom+json',
        config: { ...describe(OCI.empty, empty), data: 'e30=' },
        layers: [describe('application/vnd.example.sbom+json', content)],
      }),
    )
    await expectThere(client, await pushManifest(client, repository, 'a', artifact), artifact)
  },
  'an image whose layer is elsewhere': async client => {
    const repository = newRepository()
    const layer = {
      ...describe('application/vnd.oci.image.layer.nondistributable.v1.tar+gzip', newBytes()),
      urls: ['https://store.example.com/layer'],
    }
    const { manifest } = await prepareImage(client, repository, { layers: [layer] })
    await expectThere(client, await pushManifest(client, repository, 'a', manifest), manifest)
  },
  'sha512: by digest': async client => {
    const repository = newRepository()
    const { manifest } = await prepareImage(client, repository)
    const digest = digestOf(manifest, 'sha512')
    const answer = await pushManifest(client, repository, digest, manifest)
    await expectThere(client, answer, manifest)
    expectHeader(answer, 'docker-content-digest', digest)
    const pulled = await client.send('GET', manifestOf(repository, digest), { headers: ACCEPT })
    expectHeader(pulled, 'docker-content-digest', digest)
  },
  'sha512: HEAD by tag and by digest agree with what was pushed': async client => {
    const repository = newRepository()
    const { manifest } = await prepareImage(client, repository)
    const digest = digestOf(manifest, 'sha512')
    expect(await pushManifest(client, repository, `${digest}?tag=a`, manifest), 201)
    for (const reference of ['a', digest]) {
      const found = await client.send('HEAD', manifestOf(repository, reference), { headers: ACCEPT })
      expect(found, 200)
      expectHeader(found, 'docker-content-digest', digest)
    }
  },
  'another digest is 400': async client => {
    const repository = newRepository()
    const { manifest } = await prepareImage(client, repository)
    const answer = await pushManifest(client, repository, digestOf(newBytes()), manifest)
    expect(answer, 400)
    expectError(answer, 'DIGEST_INVALID', 'MANIFEST_INVALID')
  },
  'a digest that is none is 400': async client => {
    const repository = newRepository()
    const { manifest } = await prepareImage(client, repository)
    expect(await pushManifest(client, repository, 'sha256:baddigeststring', manifest), 400)
  },
  'what is no manifest is 400 MANIFEST_INVALID': async client => {
    const repository = newRepository()
    await pushImage(client, repository, 'a')
    const answer = await pushManifest(client, repository, 'b', 'blablabla')
    expect(answer, 400)
    expectError(answer, 'MANIFEST_INVALID')
  },
  'an image whose layer is missing is refused with MANIFEST_BLOB_UNKNOWN': async client => {
    const repository = newRepository()
    const { manifest } = await prepareImage(client, repository, { layers: [describe(OCI.layer, newBytes())] })
    const answer = await pushManifest(client, repository, 'a', manifest)
    expect(answer, 400, 404)
    expectError(answer, 'MANIFEST_BLOB_UNKNOWN', 'BLOB_UNKNOWN')
    expect(await client.send('HEAD', manifestOf(repository, 'a')), 404)
  },
})
