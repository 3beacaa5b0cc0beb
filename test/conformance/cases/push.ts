import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { category } from '../case.js'
import { expect, expectBytes, expectHeader, type Answer, type Client } from '../client.js'
import {
  beginUpload,
  blobOf,
  digestOf,
  expectPushed,
  finish,
  newBytes,
  newRepository,
  pushBlob,
  uploadsOf,
  type Algorithm,
} from '../content.js'

const OCTETS = { 'content-type': 'application/octet-stream' }

/** One POST with the whole blob; a registry that does not do that begins an upload, which is then ended. */
async function singlePost(
  client: Client,
  repository: string,
  bytes: Buffer,
  digest: string,
): Promise<Answer> {
  const answer = await client.send('POST', `${uploadsOf(repository)}?digest=${digest}`, {
    headers: OCTETS,
    body: bytes,
  })
  return answer.status === 202 ? finish(client, answer.location(), bytes, digest) : answer
}

async function streamed(client: Client, repository: string, bytes: Buffer, digest: string): Promise<Answer> {
  const begun = await beginUpload(client, repository)
  const pieces = [bytes.subarray(0, 1000), bytes.subarray(1000)].filter(piece => piece.length > 0)
  const patched = await client.send('PATCH', begun.location(), {
    headers: OCTETS,
    body: Readable.from(pieces),
  })
  expect(patched, 202)
  return finish(client, patched.location(), Buffer.alloc(0), digest)
}

async function rejected(client: Client, repository: string, answer: Answer, digest: string): Promise<void> {
  expect(answer, 400)
  expect(await client.send('HEAD', blobOf(repository, digest)), 404)
}

const another = (algorithm: Algorithm = 'sha256'): string => digestOf(newBytes(), algorithm)

/** Distribution-spec, "Pushing blobs", those that go in one piece. */
export const push = category('push', {
  'POST then PUT': async client => {
    const [repository, bytes] = [newRepository(), newBytes()]
    await expectPushed(client, repository, await pushBlob(client, repository, bytes), bytes)
  },
  'POST then PUT says the digest': async client => {
    const bytes = newBytes()
    expectHeader(await pushBlob(client, newRepository(), bytes), 'docker-content-digest', digestOf(bytes))
  },
  'a blob can be pulled as soon as it is pushed': async client => {
    const bytes = newBytes()
    const pushed = await pushBlob(client, newRepository(), bytes)
    const pulled = await client.send('GET', pushed.location())
    expect(pulled, 200)
    expectBytes(pulled, bytes)
  },
  'one POST, or the PUT it falls back to': async client => {
    const [repository, bytes] = [newRepository(), newBytes()]
    await expectPushed(
      client,
      repository,
      await singlePost(client, repository, bytes, digestOf(bytes)),
      bytes,
    )
  },
  'one POST is enough': async client => {
    const [repository, bytes] = [newRepository(), newBytes()]
    const answer = await client.send('POST', `${uploadsOf(repository)}?digest=${digestOf(bytes)}`, {
      headers: OCTETS,
      body: bytes,
    })
    await expectPushed(client, repository, answer, bytes)
  },
  'one PATCH in a stream of unknown length': async client => {
    const [repository, bytes] = [newRepository(), newBytes(100_000)]
    await expectPushed(client, repository, await streamed(client, repository, bytes, digestOf(bytes)), bytes)
  },
  'one PATCH with a Content-Length': async client => {
    const [repository, bytes] = [newRepository(), newBytes()]
    const begun = await beginUpload(client, repository)
    const patched = await client.send('PATCH', begun.location(), { headers: OCTETS, body: bytes })
    expect(patched, 202)
    await expectPushed(
      client,
      repository,
      await finish(client, patched.location(), Buffer.alloc(0), digestOf(bytes)),
      bytes,
    )
  },
  'a PUT in a stream of unknown length': async client => {
    const [repository, bytes] = [newRepository(), newBytes()]
    const location = (await beginUpload(client, repository)).location()
    location.searchParams.set('digest', digestOf(bytes))
    const answer = await client.send('PUT', location, { headers: OCTETS, body: Readable.from([bytes]) })
    await expectPushed(client, repository, answer, bytes)
  },
  'an empty blob': async client => {
    const [repository, bytes] = [newRepository(), Buffer.alloc(0)]
    await expectPushed(client, repository, await pushBlob(client, repository, bytes), bytes)
  },
  'the blob {}': async client => {
    const [repository, bytes] = [newRepository(), Buffer.from('{}')]
    await expectPushed(client, repository, await pushBlob(client, repository, bytes), bytes)
  },
  'a blob of 6 MiB': async client => {
    const [repository, bytes] = [newRepository(), newBytes(6 * 1024 * 1024)]
    await expectPushed(client, repository, await pushBlob(client, repository, bytes), bytes)
  },
  'a blob that is there already': async client => {
    const [repository, bytes] = [newRepository(), newBytes()]
    expect(await pushBlob(client, repository, bytes), 201)
    await expectPushed(client, repository, await pushBlob(client, repository, bytes), bytes)
  },
  'another digest on POST then PUT is 400, and nothing is there': async client => {
    const [repository, digest] = [newRepository(), another()]
    const begun = await beginUpload(client, repository)
    await rejected(client, repository, await finish(client, begun.location(), newBytes(), digest), digest)
  },
  'another digest on one POST is 400, and nothing is there': async client => {
    const [repository, digest] = [newRepository(), another()]
    await rejected(client, repository, await singlePost(client, repository, newBytes(), digest), digest)
  },
  'another digest after a streamed PATCH is 400, and nothing is there': async client => {
    const [repository, digest] = [newRepository(), another()]
    await rejected(client, repository, await streamed(client, repository, newBytes(), digest), digest)
  },
  'a digest that is none is 400': async client => {
    const begun = await beginUpload(client, newRepository())
    expect(await finish(client, begun.location(), newBytes(), 'sha256:baddigeststring'), 400)
  },
  'a PUT without a digest is 400': async client => {
    const begun = await beginUpload(client, newRepository())
    expect(await client.send('PUT', begun.location(), { headers: OCTETS, body: newBytes() }), 400)
  },
  'sha512: POST then PUT': async client => {
    const [repository, bytes] = [newRepository(), newBytes()]
    await expectPushed(
      client,
      repository,
      await pushBlob(client, repository, bytes, 'sha512'),
      bytes,
      'sha512',
    )
  },
  'sha512: one POST, or the PUT it falls back to': async client => {
    const [repository, bytes] = [newRepository(), newBytes()]
    const answer = await singlePost(client, repository, bytes, digestOf(bytes, 'sha512'))
    await expectPushed(client, repository, answer, bytes, 'sha512')
  },
  'sha512: a streamed PATCH': async client => {
    const [repository, bytes] = [newRepository(), newBytes()]
    const answer = await streamed(client, repository, bytes, digestOf(bytes, 'sha512'))
    await expectPushed(client, repository, answer, bytes, 'sha512')
  },
  'sha512: the answers say the digest': async client => {
    const [repository, bytes] = [newRepository(), newBytes()]
    const digest = digestOf(bytes, 'sha512')
    expectHeader(await pushBlob(client, repository, bytes, 'sha512'), 'docker-content-digest', digest)
    expectHeader(await client.send('HEAD', blobOf(repository, digest)), 'docker-content-digest', digest)
  },
  'sha512: another digest is 400, and nothing is there': async client => {
    const [repository, digest] = [newRepository(), another('sha512')]
    const begun = await beginUpload(client, repository)
    await rejected(client, repository, await finish(client, begun.location(), newBytes(), digest), digest)
  },
  'an algorithm that nobody knows is 400': async client => {
    expect(await client.send('POST', `${uploadsOf(newRepository())}?digest-algorithm=md5`), 400)
  },
  'a POST names a Location': async client => {
    assert.match((await beginUpload(client, newRepository())).location().pathname, /^\/v2\//)
  },
})
