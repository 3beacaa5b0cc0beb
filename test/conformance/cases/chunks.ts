import assert from 'node:assert/strict'
import { category } from '../case.js'
import { expect, expectHeader, type Answer, type Client } from '../client.js'
import {
  beginUpload,
  blobOf,
  digestOf,
  expectPushed,
  finish,
  newBytes,
  newRepository,
  uploadsOf,
} from '../content.js'

/** The smallest chunk where the registry names none, in bytes. */
const CHUNK = 1024

interface Upload {
  readonly repository: string
  readonly location: URL
  /** Two whole chunks and a shorter one. */
  readonly chunks: readonly [Buffer, Buffer, Buffer]
  readonly bytes: Buffer
}

/** An upload in chunks as large as the registry wants them. */
async function begin(client: Client): Promise<Upload> {
  const repository = newRepository()
  const begun = await beginUpload(client, repository)
  const size = Math.max(CHUNK, Number(begun.header('oci-chunk-min-length') ?? 0))
  const bytes = newBytes(2 * size + 5)
  const chunks = [bytes.subarray(0, size), bytes.subarray(size, 2 * size), bytes.subarray(2 * size)] as const
  return { repository, location: begun.location(), chunks, bytes }
}

function rangeOf(first: number, chunk: Buffer): Record<string, string> {
  return {
    'content-range': `${first}-${first + chunk.length - 1}`,
    'content-type': 'application/octet-stream',
  }
}

function patch(client: Client, location: URL, first: number, chunk: Buffer): Promise<Answer> {
  return client.send('PATCH', location, { headers: rangeOf(first, chunk), body: chunk })
}

/** Sends chunks one after the other and gives the Location after the last. */
async function patchAll(client: Client, start: URL, chunks: readonly Buffer[], from = 0): Promise<URL> {
  let location = start
  let first = from
  for (const chunk of chunks) {
    const patched = await patch(client, location, first, chunk)
    expect(patched, 202)
    first += chunk.length
    expectHeader(patched, 'range', `0-${first - 1}`)
    location = patched.location()
  }
  return location
}

/** Asks where an upload is, as a client does that has lost its way. */
async function status(client: Client, location: URL, range: string): Promise<URL> {
  const answer = await client.send('GET', location)
  expect(answer, 204)
  expectHeader(answer, 'range', range)
  return answer.location()
}

/** Distribution-spec, "Pushing a blob in chunks" and "Cancel a blob upload". */
export const chunks = category('chunks', {
  'every PATCH is 202, its Range is what has come so far, and PUT ends it': async client => {
    const { repository, location, chunks, bytes } = await begin(client)
    const last = await patchAll(client, location, chunks)
    await expectPushed(
      client,
      repository,
      await finish(client, last, Buffer.alloc(0), digestOf(bytes)),
      bytes,
    )
  },
  'the last chunk comes with the PUT': async client => {
    const { repository, location, chunks, bytes } = await begin(client)
    const [one, two, three] = chunks
    const last = await patchAll(client, location, [one, two])
    const put = await finish(client, last, three, digestOf(bytes), rangeOf(one.length + two.length, three))
    await expectPushed(client, repository, put, bytes)
  },
  'the first chunk is accepted with 202 and a Location': async client => {
    const { location, chunks } = await begin(client)
    const patched = await patch(client, location, 0, chunks[0])
    expect(patched, 202)
    patched.location()
  },
  'a chunk too far ahead is 416, and the upload goes on': async client => {
    const { repository, location, chunks, bytes } = await begin(client)
    const [one, two, three] = chunks
    expect(await patch(client, location, one.length, two), 416)
    const again = await patchAll(client, location, [one])
    expect(await patch(client, again, one.length + two.length, three), 416)
    const last = await patchAll(
      client,
      await status(client, again, `0-${one.length - 1}`),
      [two, three],
      one.length,
    )
    await expectPushed(
      client,
      repository,
      await finish(client, last, Buffer.alloc(0), digestOf(bytes)),
      bytes,
    )
  },
  'a chunk sent again is 416, and the upload goes on': async client => {
    const { repository, location, chunks, bytes } = await begin(client)
    const [one, two, three] = chunks
    const next = await patchAll(client, location, [one, two])
    expect(await patch(client, next, 0, one), 416)
    const known = await status(client, next, `0-${one.length + two.length - 1}`)
    const last = await patchAll(client, known, [three], one.length + two.length)
    await expectPushed(
      client,
      repository,
      await finish(client, last, Buffer.alloc(0), digestOf(bytes)),
      bytes,
    )
  },
  'a last chunk out of order in the PUT is 416, and the upload goes on': async client => {
    const { repository, location, chunks, bytes } = await begin(client)
    const [one, two, three] = chunks
    const next = await patchAll(client, location, [one])
    const gap = await finish(client, next, three, digestOf(bytes), rangeOf(one.length + two.length, three))
    expect(gap, 416)
    const last = await patchAll(client, await status(client, next, `0-${one.length - 1}`), [two], one.length)
    const put = await finish(client, last, three, digestOf(bytes), rangeOf(one.length + two.length, three))
    await expectPushed(client, repository, put, bytes)
  },
  'another digest is 400, and nothing is there': async client => {
    const { repository, location, chunks } = await begin(client)
    const digest = digestOf(newBytes())
    expect(await finish(client, await patchAll(client, location, chunks), Buffer.alloc(0), digest), 400)
    expect(await client.send('HEAD', blobOf(repository, digest)), 404)
  },
  'GET of an upload is 204 with its Location': async client => {
    const { location } = await begin(client)
    const answer = await client.send('GET', location)
    expect(answer, 204)
    answer.location()
  },
  'GET of an upload between chunks says how far it is': async client => {
    const { location, chunks } = await begin(client)
    const next = await patchAll(client, location, [chunks[0], chunks[1]])
    await status(client, next, `0-${2 * chunks[0].length - 1}`)
  },
  'sha512: in chunks': async client => {
    const { repository, location, chunks, bytes } = await begin(client)
    const last = await patchAll(client, location, chunks)
    const put = await finish(client, last, Buffer.alloc(0), digestOf(bytes, 'sha512'))
    await expectPushed(client, repository, put, bytes, 'sha512')
  },
  'DELETE cancels an upload, which is unknown then': async client => {
    const { location } = await begin(client)
    expect(await client.send('DELETE', location), 204)
    expect(await client.send('GET', location), 404)
  },
  'DELETE cancels an upload between chunks': async client => {
    const { location, chunks } = await begin(client)
    const next = await patchAll(client, location, [chunks[0]])
    expect(await client.send('DELETE', next), 204)
    const late = await patch(client, next, chunks[0].length, chunks[1])
    expect(late, 404)
  },
  'an upload that is done is unknown': async client => {
    const { location, bytes } = await begin(client)
    expect(await finish(client, location, bytes, digestOf(bytes)), 201)
    expect(await client.send('GET', location), 404)
  },
  'uploads that never began are 404': async client => {
    const repository = newRepository()
    await beginUpload(client, repository)
    const path = `${uploadsOf(repository)}b3f5d3e6-0000-4000-8000-000000000000`
    const bytes = newBytes()
    for (const answer of [
      await client.send('PATCH', path, { body: bytes }),
      await client.send('PUT', `${path}?digest=${digestOf(bytes)}`, { body: bytes }),
      await client.send('GET', path),
      await client.send('DELETE', path),
    ]) {
      expect(answer, 404)
    }
  },
  'the chunk minimum, where there is one, is a number of bytes': async client => {
    const minimum = (await beginUpload(client, newRepository())).header('oci-chunk-min-length')
    assert.match(minimum ?? '0', /^\d+$/)
  },
})
