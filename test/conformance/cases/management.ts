import { category } from '../case.js'
import { expect, expectError } from '../client.js'
import { blobOf, digestOf, manifestOf, newBytes, newRepository, pushBlob, pushImage } from '../content.js'

/** Distribution-spec, "Content Management". */
export const management = category('delete', {
  'of a manifest by digest is 202, and it is gone with its tags': async client => {
    const repository = newRepository()
    const { digest } = await pushImage(client, repository, 'a')
    expect(await client.send('DELETE', manifestOf(repository, digest)), 202)
    expect(await client.send('GET', manifestOf(repository, digest)), 404)
    expect(await client.send('HEAD', manifestOf(repository, 'a')), 404)
  },
  'of a tag is 202, and the manifest stays': async client => {
    const repository = newRepository()
    const { digest } = await pushImage(client, repository, 'a')
    await client.send('DELETE', manifestOf(repository, 'a')).then(answer => expect(answer, 202))
    expect(await client.send('HEAD', manifestOf(repository, 'a')), 404)
    expect(await client.send('HEAD', manifestOf(repository, digest)), 200)
  },
  'of a tag is done or refused as unsupported': async client => {
    const repository = newRepository()
    await pushImage(client, repository, 'a')
    const answer = await client.send('DELETE', manifestOf(repository, 'a'))
    expect(answer, 202, 400, 405)
    if (answer.status !== 202) expectError(answer, 'UNSUPPORTED')
  },
  'of a blob is 202, and it is gone': async client => {
    const [repository, bytes] = [newRepository(), newBytes()]
    expect(await pushBlob(client, repository, bytes), 201)
    expect(await client.send('DELETE', blobOf(repository, digestOf(bytes))), 202)
    expect(await client.send('HEAD', blobOf(repository, digestOf(bytes))), 404)
  },
  'of a blob is done or refused as unsupported': async client => {
    const [repository, bytes] = [newRepository(), newBytes()]
    expect(await pushBlob(client, repository, bytes), 201)
    const answer = await client.send('DELETE', blobOf(repository, digestOf(bytes)))
    expect(answer, 202, 405)
    if (answer.status === 405) expectError(answer, 'UNSUPPORTED')
  },
  'of a manifest that is not there is 404': async client => {
    const repository = newRepository()
    await pushImage(client, repository, 'a')
    expect(await client.send('DELETE', manifestOf(repository, digestOf(newBytes()))), 404)
  },
  'of a blob that is not there is 404': async client => {
    const repository = newRepository()
    await pushImage(client, repository, 'a')
    expect(await client.send('DELETE', blobOf(repository, digestOf(newBytes()))), 404)
  },
  'in a repository that is not there is 404': async client => {
    expect(await client.send('DELETE', manifestOf(newRepository(), digestOf(newBytes()))), 404)
  },
})
