import assert from 'node:assert/strict'
import { category } from '../case.js'
import { expect, expectBytes, expectHeader, type Client } from '../client.js'
import {
  ACCEPT,
  blobOf,
  digestOf,
  DOCKER,
  indexOf,
  manifestOf,
  newBytes,
  newRepository,
  OCI,
  prepareImage,
  pushImage,
  pushManifest,
} from '../content.js'

const TAG = 'latest'

async function pulled(client: Client, method: string, by: 'tag' | 'digest') {
  const repository = newRepository()
  const image = await pushImage(client, repository, TAG)
  const answer = await client.send(method, manifestOf(repository, by === 'tag' ? TAG : image.digest), {
    headers: ACCEPT,
  })
  expect(answer, 200)
  return { ...image, answer }
}

async function pulledBlob(client: Client, method: string) {
  const repository = newRepository()
  const { layer } = await pushImage(client, repository, TAG)
  const answer = await client.send(method, blobOf(repository, digestOf(layer)))
  expect(answer, 200)
  return { layer, answer }
}

async function missing(client: Client, what: string): Promise<string> {
  const repository = newRepository()
  await pushImage(client, repository, TAG)
  return `/v2/${repository}/${what}`
}

const nowhere = (): string => digestOf(newBytes())

/** Distribution-spec, "Pull". */
export const pull = category('pull', {
  'a manifest by tag has its bytes and media type': async client => {
    const { answer, manifest } = await pulled(client, 'GET', 'tag')
    expectBytes(answer, manifest)
    expectHeader(answer, 'content-type', OCI.manifest)
  },
  'a manifest by digest has its bytes and media type': async client => {
    const { answer, manifest } = await pulled(client, 'GET', 'digest')
    expectBytes(answer, manifest)
    expectHeader(answer, 'content-type', OCI.manifest)
  },
  'HEAD of a manifest by tag has its media type and length, and no body': async client => {
    const { answer, manifest } = await pulled(client, 'HEAD', 'tag')
    expectHeader(answer, 'content-type', OCI.manifest)
    expectHeader(answer, 'content-length', String(manifest.length))
    assert.equal(answer.body.length, 0)
  },
  'HEAD of a manifest by digest has its media type and length, and no body': async client => {
    const { answer, manifest } = await pulled(client, 'HEAD', 'digest')
    expectHeader(answer, 'content-type', OCI.manifest)
    expectHeader(answer, 'content-length', String(manifest.length))
    assert.equal(answer.body.length, 0)
  },
  'GET of a manifest by tag says its digest': async client => {
    const { answer, digest } = await pulled(client, 'GET', 'tag')
    expectHeader(answer, 'docker-content-digest', digest)
  },
  'GET of a manifest by digest says its digest': async client => {
    const { answer, digest } = await pulled(client, 'GET', 'digest')
    expectHeader(answer, 'docker-content-digest', digest)
  },
  'HEAD of a manifest by tag says its digest': async client => {
    const { answer, digest } = await pulled(client, 'HEAD', 'tag')
    expectHeader(answer, 'docker-content-digest', digest)
  },
  'HEAD of a manifest by digest says its digest': async client => {
    const { answer, digest } = await pulled(client, 'HEAD', 'digest')
    expectHeader(answer, 'docker-content-digest', digest)
  },
  'a blob has its bytes and length': async client => {
    const { answer, layer } = await pulledBlob(client, 'GET')
    expectBytes(answer, layer)
    expectHeader(answer, 'content-length', String(layer.length))
  },
  'HEAD of a blob has its length, and no body': async client => {
    const { answer, layer } = await pulledBlob(client, 'HEAD')
    expectHeader(answer, 'content-length', String(layer.length))
    assert.equal(answer.body.length, 0)
  },
  'GET of a blob says its digest': async client => {
    const { answer, layer } = await pulledBlob(client, 'GET')
    expectHeader(answer, 'docker-content-digest', digestOf(layer))
  },
  'HEAD of a blob says its digest': async client => {
    const { answer, layer } = await pulledBlob(client, 'HEAD')
    expectHeader(answer, 'docker-content-digest', digestOf(layer))
  },
  'a Docker image keeps its media type': async client => {
    const repository = newRepository()
    const { manifest } = await pushImage(client, repository, TAG, { types: DOCKER })
    const answer = await client.send('GET', manifestOf(repository, TAG), { headers: ACCEPT })
    expectHeader(answer, 'content-type', DOCKER.manifest)
    expectBytes(answer, manifest)
  },
  'an index and the image it names': async client => {
    const repository = newRepository()
    const image = await pushImage(client, repository, undefined)
    const index = indexOf([
      { ...image.descriptor, platform: { os: 'linux', architecture: 'amd64' } } as typeof image.descriptor,
    ])
    expect(await pushManifest(client, repository, TAG, index, OCI.index), 201)
    const answer = await client.send('GET', manifestOf(repository, TAG), { headers: ACCEPT })
    expectHeader(answer, 'content-type', OCI.index)
    expectBytes(answer, index)
    expectBytes(
      await client.send('GET', manifestOf(repository, image.digest), { headers: ACCEPT }),
      image.manifest,
    )
  },
  'a manifest comes back to the byte, however it is written': async client => {
    const repository = newRepository()
    const { manifest } = await prepareImage(client, repository, {
      members: { 'org.example.unknown': { ä: [1.0, 1e3] } },
    })
    const odd = Buffer.from(`\n ${manifest.toString('utf8')}\r\n\t `)
    expect(await pushManifest(client, repository, TAG, odd), 201)
    expectBytes(await client.send('GET', manifestOf(repository, TAG), { headers: ACCEPT }), odd)
  },
  'a manifest by tag without an Accept header': async client => {
    const repository = newRepository()
    const { manifest } = await pushImage(client, repository, TAG)
    expectBytes(await client.send('GET', manifestOf(repository, TAG)), manifest)
  },
  'a repository whose name is made of the words of the API': async client => {
    const repository = `${newRepository()}/manifests/blobs/tags/list`
    const { manifest, layer } = await pushImage(client, repository, TAG)
    expectBytes(await client.send('GET', manifestOf(repository, TAG), { headers: ACCEPT }), manifest)
    expectBytes(await client.send('GET', blobOf(repository, digestOf(layer))), layer)
  },
  'a tag of 128 characters': async client => {
    const repository = newRepository()
    const tag = `T_${'x.-_'.repeat(32)}`.slice(0, 128)
    const { manifest } = await pushImage(client, repository, tag)
    expectBytes(await client.send('GET', manifestOf(repository, tag), { headers: ACCEPT }), manifest)
  },
  'a manifest that is not there by tag is 404': async client => {
    expect(await client.send('GET', await missing(client, 'manifests/none')), 404)
  },
  'a manifest that is not there by digest is 404': async client => {
    expect(await client.send('GET', await missing(client, `manifests/${nowhere()}`)), 404)
  },
  'HEAD of a manifest that is not there is 404 without a body': async client => {
    const answer = await client.send('HEAD', await missing(client, 'manifests/none'))
    expect(answer, 404)
    assert.equal(answer.body.length, 0)
  },
  'a blob that is not there is 404': async client => {
    expect(await client.send('GET', await missing(client, `blobs/${nowhere()}`)), 404)
  },
  'HEAD of a blob that is not there is 404 without a body': async client => {
    const answer = await client.send('HEAD', await missing(client, `blobs/${nowhere()}`))
    expect(answer, 404)
    assert.equal(answer.body.length, 0)
  },
  'a repository that is not there is 404': async client => {
    expect(await client.send('GET', manifestOf(newRepository(), TAG)), 404)
  },
})
