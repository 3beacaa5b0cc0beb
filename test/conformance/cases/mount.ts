import { category } from '../case.js'
import { expect, expectHeader, type Answer, type Client } from '../client.js'
import {
  blobOf,
  digestOf,
  expectPushed,
  finish,
  newBytes,
  newRepository,
  pushBlob,
  uploadsOf,
} from '../content.js'

async function source(client: Client): Promise<{ from: string; bytes: Buffer }> {
  const [from, bytes] = [newRepository(), newBytes()]
  expect(await pushBlob(client, from, bytes), 201)
  return { from, bytes }
}

function mount(client: Client, repository: string, bytes: Buffer, from?: string): Promise<Answer> {
  const query = new URLSearchParams({ mount: digestOf(bytes), ...(from !== undefined && { from }) })
  return client.send('POST', `${uploadsOf(repository)}?${query.toString()}`)
}

/** The blob is there, by way of the mount or of the upload that a registry begins instead. */
async function expectMountedOrPushed(
  client: Client,
  repository: string,
  answer: Answer,
  bytes: Buffer,
): Promise<void> {
  expect(answer, 201, 202)
  const done =
    answer.status === 201 ? answer : await finish(client, answer.location(), bytes, digestOf(bytes))
  await expectPushed(client, repository, done, bytes)
}

/** Distribution-spec, "Mounting a blob from another repository". */
export const mounts = category('mount', {
  'a blob is mounted, or an upload of it begins': async client => {
    const { from, bytes } = await source(client)
    const repository = newRepository()
    await expectMountedOrPushed(client, repository, await mount(client, repository, bytes, from), bytes)
  },
  'a blob is mounted with 201': async client => {
    const { from, bytes } = await source(client)
    const repository = newRepository()
    const mounted = await mount(client, repository, bytes, from)
    await expectPushed(client, repository, mounted, bytes)
    expectHeader(mounted, 'docker-content-digest', digestOf(bytes))
  },
  'a blob that is not in the source is 202, and can be pushed': async client => {
    const { from } = await source(client)
    const [repository, bytes] = [newRepository(), newBytes()]
    const answer = await mount(client, repository, bytes, from)
    expect(answer, 202)
    await expectMountedOrPushed(client, repository, answer, bytes)
  },
  'a source that is not there is 202, and the blob can be pushed': async client => {
    const [repository, bytes] = [newRepository(), newBytes()]
    const answer = await mount(client, repository, bytes, newRepository())
    expect(answer, 202)
    await expectMountedOrPushed(client, repository, answer, bytes)
  },
  'without a source, it is mounted or an upload of it begins': async client => {
    const { bytes } = await source(client)
    const repository = newRepository()
    await expectMountedOrPushed(client, repository, await mount(client, repository, bytes), bytes)
  },
  'an upload begun instead of a mount can be given up': async client => {
    const { from } = await source(client)
    const answer = await mount(client, newRepository(), newBytes(), from)
    expect(answer, 202)
    expect(await client.send('DELETE', answer.location()), 204)
  },
  'a mounted blob is not taken away with its source': async client => {
    const { from, bytes } = await source(client)
    const repository = newRepository()
    expect(await mount(client, repository, bytes, from), 201)
    expect(await client.send('DELETE', blobOf(from, digestOf(bytes))), 202)
    expect(await client.send('HEAD', blobOf(repository, digestOf(bytes))), 200)
  },
})
