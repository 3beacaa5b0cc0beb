import assert from 'node:assert/strict'
import { category, type Case } from '../case.js'
import { expect, expectBytes, expectHeader, type Client } from '../client.js'
import { blobOf, describe, digestOf, newBytes, newRepository, OCI, pushBlob, pushImage } from '../content.js'

const SIZE = 2048

async function blob(client: Client): Promise<{ bytes: Buffer; path: string }> {
  const repository = newRepository()
  const bytes = newBytes(SIZE)
  expect(await pushBlob(client, repository, bytes), 201)
  await pushImage(client, repository, 'a', { layers: [describe(OCI.layer, bytes)] })
  return { bytes, path: blobOf(repository, digestOf(bytes)) }
}

function part(range: string, first: number, last: number): Case['check'] {
  return async client => {
    const { bytes, path } = await blob(client)
    const answer = await client.send('GET', path, { headers: { range } })
    expect(answer, 206)
    expectHeader(answer, 'content-range', `bytes ${first}-${last}/${SIZE}`)
    expectHeader(answer, 'content-length', String(last + 1 - first))
    expectBytes(answer, bytes.subarray(first, last + 1))
  }
}

function refused(range: string): Case['check'] {
  return async client =>
    expect(await client.send('GET', (await blob(client)).path, { headers: { range } }), 416)
}

/** Distribution-spec, "Pulling blobs": range requests in accordance with RFC 9110. */
export const ranges = category('range', {
  'bytes=500-1499': part('bytes=500-1499', 500, 1499),
  'bytes=500-': part('bytes=500-', 500, 2047),
  'bytes=-500': part('bytes=-500', 1548, 2047),
  'bytes=0-0': part('bytes=0-0', 0, 0),
  'bytes=0-': part('bytes=0-', 0, 2047),
  'bytes=2000-5000 ends with the blob': part('bytes=2000-5000', 2000, 2047),
  'bytes=-5000 begins with the blob': part('bytes=-5000', 0, 2047),
  'bytes=5000-10000 is 416': refused('bytes=5000-10000'),
  'bytes=2048- is 416': refused('bytes=2048-'),
  'bytes=500-0 is 416': refused('bytes=500-0'),
  'a pull goes on where it broke off': async client => {
    const { bytes, path } = await blob(client)
    const [head, tail] = await Promise.all(
      ['bytes=0-999', 'bytes=1000-'].map(range => client.send('GET', path, { headers: { range } })),
    )
    assert.ok(head && tail)
    assert.ok(Buffer.concat([head.body, tail.body]).equals(bytes), 'the parts make up the blob')
  },
})
