import { category } from '../case.js'
import { expect, expectError, type Answer, type Client } from '../client.js'
import {
  blobOf,
  digestOf,
  manifestOf,
  newBytes,
  newRepository,
  prepareImage,
  pushImage,
  pushManifest,
  uploadsOf,
} from '../content.js'

async function known(client: Client): Promise<string> {
  const repository = newRepository()
  await pushImage(client, repository, 'a')
  return repository
}

async function get(client: Client, path: (repository: string) => string): Promise<Answer> {
  return client.send('GET', path(await known(client)))
}

const LONG_NAME = 'x'.repeat(300)

/** Distribution-spec, "Error Codes". */
export const errors = category('errors', {
  'MANIFEST_UNKNOWN by tag': async client => {
    expectError(await get(client, repository => manifestOf(repository, 'none')), 'MANIFEST_UNKNOWN')
  },
  'MANIFEST_UNKNOWN by digest': async client => {
    expectError(
      await get(client, repository => manifestOf(repository, digestOf(newBytes()))),
      'MANIFEST_UNKNOWN',
    )
  },
  BLOB_UNKNOWN: async client => {
    expectError(await get(client, repository => blobOf(repository, digestOf(newBytes()))), 'BLOB_UNKNOWN')
  },
  BLOB_UPLOAD_UNKNOWN: async client => {
    const path = (repository: string): string =>
      `${uploadsOf(repository)}b3f5d3e6-0000-4000-8000-000000000000`
    expectError(await get(client, path), 'BLOB_UPLOAD_UNKNOWN')
  },
  'NAME_UNKNOWN of a repository that is not there': async client => {
    const answer = await client.send('GET', manifestOf(newRepository(), 'a'))
    expectError(answer, 'NAME_UNKNOWN', 'MANIFEST_UNKNOWN')
  },
  'UNAUTHORIZED without credentials': async client => {
    const answer = await client.send('GET', manifestOf(newRepository(), 'a'), { anonymous: true })
    expect(answer, 401)
    expectError(answer, 'UNAUTHORIZED')
  },
  'UNAUTHORIZED with wrong credentials': async client => {
    const authorization = `Basic ${Buffer.from('nobody:knows').toString('base64')}`
    const answer = await client.send('GET', '/v2/', { anonymous: true, headers: { authorization } })
    expect(answer, 401)
    expectError(answer, 'UNAUTHORIZED')
  },
  'a manifest by a digest that is none is 400 or 404': async client => {
    expect(await get(client, repository => manifestOf(repository, 'sha256:baddigeststring')), 400, 404)
  },
  'a blob by a digest that is none is 400 or 404': async client => {
    expect(await get(client, repository => blobOf(repository, 'sha256:baddigeststring')), 400, 404)
  },
  'a blob by a digest of an algorithm that nobody knows is 400 or 404': async client => {
    expect(await get(client, repository => blobOf(repository, `md5:${'0'.repeat(32)}`)), 400, 404)
  },
  'a tag that is none is 404 on GET': async client => {
    expect(await get(client, repository => manifestOf(repository, '.INVALID_MANIFEST_NAME')), 404)
  },
  'a tag that is none is 400 or 404 on PUT': async client => {
    const repository = newRepository()
    const { manifest } = await prepareImage(client, repository)
    expect(await pushManifest(client, repository, '.INVALID_MANIFEST_NAME', manifest), 400, 404)
  },
  'a name with capitals is 400 or 404': async client => {
    expect(await client.send('GET', manifestOf('Conformance/Image', 'a')), 400, 404)
    expect(await client.send('POST', uploadsOf('Conformance/Image')), 400, 404)
  },
  'a name that is too long is 400 or 404': async client => {
    expect(await client.send('POST', uploadsOf(LONG_NAME)), 400, 404)
  },
  'a path that is no endpoint is 404': async client => {
    expect(await client.send('GET', '/v2/conformance/nothing/here/at/all'), 404)
  },
})
