import { piecesOf, type Blob } from '../content.js'
import { REPOSITORY } from '../upstream/upstream.js'
import { Client, type Door } from './client.js'

/** Pushes a layer as containerd does: POST, then one PUT with all of it. */
export async function push(door: Door, blob: Blob): Promise<void> {
  await Client.with(door, async client => {
    const begun = await client.ask('POST', `/v2/${REPOSITORY}/blobs/uploads/`, ['Content-Length: 0'])
    const location = begun.header('location')
    if (location === undefined) throw new Error('The answer to POST has no Location')
    const { pathname, searchParams } = new URL(location, 'http://relative')
    searchParams.set('digest', blob.digest)
    const length = `Content-Length: ${blob.size}`
    const { status } = await client.ask(
      'PUT',
      `${pathname}?${searchParams.toString()}`,
      [length],
      piecesOf(blob),
    )
    if (status !== 201) throw new Error(`The push was answered ${status}`)
  })
}
