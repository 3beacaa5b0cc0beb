import assert from 'node:assert/strict'
import { z } from 'zod'
import { category } from '../case.js'
import { expect, expectHeader, type Answer, type Client } from '../client.js'
import {
  describe,
  digestOf,
  indexOf,
  manifestOf,
  newBytes,
  newRepository,
  OCI,
  prepareImage,
  pushImage,
  pushManifest,
  type Descriptor,
  type Image,
} from '../content.js'

const SBOM = 'application/vnd.example.sbom+json; v=1'
const SIGNATURE = 'application/vnd.example.signature'

const Index = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.literal(OCI.index),
  manifests: z.array(
    z.object({
      mediaType: z.string(),
      digest: z.string(),
      size: z.number(),
      artifactType: z.string().optional(),
      annotations: z.record(z.string(), z.string()).optional(),
    }),
  ),
})

function refer(
  client: Client,
  repository: string,
  subject: Descriptor,
  artifactType: string,
): Promise<Image> {
  return pushImage(client, repository, undefined, {
    members: { artifactType, subject, annotations: { made: 'for this' } },
  })
}

/** An image with an SBOM and a signature. */
async function referred(client: Client) {
  const repository = newRepository()
  const subject = (await pushImage(client, repository, 'subject')).descriptor
  const sbom = await refer(client, repository, subject, SBOM)
  const signature = await refer(client, repository, subject, SIGNATURE)
  return { repository, subject, sbom, signature }
}

async function list(client: Client, repository: string, digest: string, query = ''): Promise<Answer> {
  const answer = await client.send('GET', `/v2/${repository}/referrers/${digest}${query}`)
  expect(answer, 200)
  return answer
}

function digestsIn(answer: Answer): string[] {
  return Index.parse(answer.json())
    .manifests.map(each => each.digest)
    .sort()
}

const filterOf = (artifactType: string): string => `?${new URLSearchParams({ artifactType }).toString()}`

/** Distribution-spec, "Listing Referrers" and "Pushing Manifests with Subject". */
export const referrers = category('referrers', {
  'of what nothing refers to are an empty index': async client => {
    const repository = newRepository()
    const { digest } = await pushImage(client, repository, 'a')
    const answer = await list(client, repository, digest)
    assert.deepEqual(digestsIn(answer), [])
    expectHeader(answer, 'content-type', OCI.index)
  },
  'of what is not there are an empty index': async client => {
    const repository = newRepository()
    await pushImage(client, repository, 'a')
    assert.deepEqual(digestsIn(await list(client, repository, digestOf(newBytes()))), [])
  },
  'are described in full': async client => {
    const { repository, subject, sbom, signature } = await referred(client)
    const { manifests } = Index.parse((await list(client, repository, subject.digest)).json())
    const expected = [
      { ...sbom.descriptor, artifactType: SBOM, annotations: { made: 'for this' } },
      { ...signature.descriptor, artifactType: SIGNATURE, annotations: { made: 'for this' } },
    ]
    const byDigest = (a: Descriptor, b: Descriptor): number => (a.digest < b.digest ? -1 : 1)
    assert.deepEqual(manifests.sort(byDigest), expected.sort(byDigest))
  },
  'an artifactType filters them, or the answer says that it does not': async client => {
    const { repository, subject, sbom } = await referred(client)
    const answer = await list(client, repository, subject.digest, filterOf(SBOM))
    if (answer.header('oci-filters-applied') === undefined) assert.ok(digestsIn(answer).includes(sbom.digest))
    else assert.deepEqual(digestsIn(answer), [sbom.digest])
  },
  'an artifactType filters them, and the answer says so': async client => {
    const { repository, subject, sbom } = await referred(client)
    const answer = await list(client, repository, subject.digest, filterOf(SBOM))
    expectHeader(answer, 'oci-filters-applied', 'artifactType')
    assert.deepEqual(digestsIn(answer), [sbom.digest])
  },
  'an artifactType that nothing has leaves none': async client => {
    const { repository, subject } = await referred(client)
    assert.deepEqual(
      digestsIn(await list(client, repository, subject.digest, filterOf('application/none'))),
      [],
    )
  },
  'a push with a subject is answered with OCI-Subject': async client => {
    const repository = newRepository()
    const subject = (await pushImage(client, repository, 'a')).descriptor
    const { manifest } = await prepareImage(client, repository, { members: { subject, artifactType: SBOM } })
    const pushed = await pushManifest(client, repository, digestOf(manifest), manifest)
    expect(pushed, 201)
    expectHeader(pushed, 'oci-subject', subject.digest)
  },
  'a push by tag with a subject is answered with OCI-Subject': async client => {
    const repository = newRepository()
    const subject = (await pushImage(client, repository, 'a')).descriptor
    const { manifest } = await prepareImage(client, repository, { members: { subject, artifactType: SBOM } })
    const pushed = await pushManifest(client, repository, 'b', manifest)
    expect(pushed, 201)
    expectHeader(pushed, 'oci-subject', subject.digest)
  },
  'a subject need not be there': async client => {
    const repository = newRepository()
    const subject = describe(OCI.manifest, newBytes())
    const sbom = await refer(client, repository, subject, SBOM)
    assert.deepEqual(digestsIn(await list(client, repository, subject.digest)), [sbom.digest])
  },
  'an index can have a subject': async client => {
    const repository = newRepository()
    const image = (await pushImage(client, repository, 'a')).descriptor
    const index = indexOf([image], { subject: image, artifactType: SBOM })
    expect(await pushManifest(client, repository, digestOf(index), index, OCI.index), 201)
    assert.deepEqual(digestsIn(await list(client, repository, image.digest)), [digestOf(index)])
  },
  'one that is deleted is listed no more': async client => {
    const { repository, subject, sbom, signature } = await referred(client)
    expect(await client.send('DELETE', manifestOf(repository, sbom.digest)), 202)
    assert.deepEqual(digestsIn(await list(client, repository, subject.digest)), [signature.digest])
  },
  'of what is no digest are 400': async client => {
    const repository = newRepository()
    await pushImage(client, repository, 'a')
    expect(await client.send('GET', `/v2/${repository}/referrers/sha256:baddigeststring`), 400)
  },
})
