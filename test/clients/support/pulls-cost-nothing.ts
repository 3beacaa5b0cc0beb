import { join } from 'node:path'
import type { Test } from 'tap'
import { digestOf } from '../../../src/oci/digest.js'
import { blobsOf, readManifest } from '../../../src/oci/manifest.js'
import type { Ecr } from '../../ecr/ecr.js'
import { ask } from '../../support/requests.js'
import { inRing } from '../../support/ring.js'
import { authorization, USER } from '../../support/users.js'
import { succeed } from './run-client.js'

const PULLS = inRing({ short: 15, long: 50 })
/** Of these, as many are done by a real client; the others ask for the same with less ado. */
const BY_SKOPEO = 3

const ACCEPT = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
].join(', ')

/** Asserts that many pulls of what was just pushed make the mirror download nothing. */
export async function pullsCostNothing(
  t: Test,
  ecr: Ecr,
  registry: string,
  repository: string,
  tag: string,
  directory: string,
): Promise<void> {
  const downloads = (): number => ecr.count({ at: 's3' }) + ecr.count({ action: 'GetDownloadUrlForLayer' })
  const before = downloads()
  for (let count = 0; count < BY_SKOPEO; count++) {
    await succeed('skopeo', [
      ...['copy', '--all', '--src-tls-verify=false', '--src-creds', `${USER.name}:${USER.password}`],
      ...[`docker://${registry}/${repository}:${tag}`, `dir:${join(directory, `pulled-${count}`)}`],
    ])
  }
  let blobs = 0
  for (let count = BY_SKOPEO; count < PULLS; count++)
    blobs += await pull(`http://${registry}/v2/${repository}`, tag)
  t.ok(blobs >= PULLS - BY_SKOPEO, 'each pull has blobs, with the bytes that belong to them')
  t.equal(downloads(), before, `${PULLS} pulls of what was pushed cost no download`)
}

/** Pulls an image or index whole, and gives how many blobs that were. Throws when bytes are not what they should be. */
async function pull(url: string, reference: string): Promise<number> {
  const manifest = readManifest(await get(`${url}/manifests/${reference}`)).content
  let blobs = 0
  for (const { digest } of manifest?.manifests ?? []) blobs += await pull(url, digest)
  for (const { digest } of blobsOf(manifest)) {
    if (digestOf(await get(`${url}/blobs/${digest}`)) !== digest) throw new Error(`${digest} has other bytes`)
    blobs++
  }
  return blobs
}

async function get(url: string): Promise<Buffer> {
  const { status, bytes } = await ask(url, { headers: { authorization, accept: ACCEPT } })
  if (status !== 200) throw new Error(`${url} answers ${status}: ${bytes.toString()}`)
  return bytes
}
