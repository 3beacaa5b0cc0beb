import { Agent } from 'node:http'
import type { LocalImage } from './images.js'
import { digestOf } from './pushing.js'
import { ask, type PlainAnswer } from './requests.js'

/** A repository, at a mirror or straight at a registry. */
export interface PushedTo {
  readonly url: string
  readonly authorization: string
  readonly repository: string
}

/** A client gave up on a push: the registry answered one of its requests otherwise than it can go on with. */
export class PushFailed extends Error {
  constructor(
    what: string,
    readonly status: number,
    text: string,
  ) {
    super(`${what}: ${status} ${text}`)
  }
}

/** Pushes an image under a tag. Throws PushFailed where the client would say that it failed. */
export type Push = (to: PushedTo, image: LocalImage, tag: string) => Promise<void>

/**
 * What clients ask before they push, and how they send: each asks first what is there already, and leaves out what it
 * is told of. The order of requests is that of the sources named.
 */
export const PUSH_CLIENTS: Readonly<Record<string, Push>> = { docker, skopeo, crane, containerd, oras }

/** moby/moby, distribution/push_v2.go: a HEAD of each blob, PATCH and PUT, and a HEAD of what was sent; PUT by tag. */
async function docker(to: PushedTo, image: LocalImage, tag: string): Promise<void> {
  for (const child of image.children) await docker(to, child, child.digest)
  for (const blob of inOrder(image)) {
    if (await hasBlob(to, blob)) continue
    await patchAndPut(to, blob)
    if (!(await hasBlob(to, blob))) throw new PushFailed(`HEAD of ${digestOf(blob)} just sent`, 404, '')
  }
  await putManifest(to, image, tag)
}

/** containers/image, docker/docker_image_dest.go: TryReusingBlob and PutBlob each begin with a HEAD; PUT by tag. */
async function skopeo(to: PushedTo, image: LocalImage, tag: string): Promise<void> {
  for (const child of image.children) await skopeo(to, child, child.digest)
  for (const blob of inOrder(image)) {
    if ((await hasBlob(to, blob)) || (await hasBlob(to, blob))) continue
    await patchAndPut(to, blob)
  }
  await putManifest(to, image, tag)
}

/** google/go-containerregistry, pkg/v1/remote/pusher.go: what a HEAD of the manifest finds is not pushed at all. */
async function crane(to: PushedTo, image: LocalImage, reference: string): Promise<void> {
  const found = await headManifest(to, reference, ALL_TYPES)
  if (found === image.digest) return
  for (const child of image.children) await crane(to, child, child.digest)
  for (const blob of inOrder(image)) if (!(await hasBlob(to, blob))) await patchAndPut(to, blob)
  await putManifest(to, image, reference)
}

/** containerd, core/remotes/docker/pusher.go: a HEAD before every blob and manifest; a blob in one PUT. */
async function containerd(to: PushedTo, image: LocalImage, reference: string): Promise<void> {
  for (const child of image.children) await containerd(to, child, child.digest)
  for (const blob of inOrder(image)) if (!(await hasBlob(to, blob))) await putWhole(to, blob)
  if ((await headManifest(to, reference, `${image.mediaType}, */*`)) === image.digest) return
  await putManifest(to, image, reference)
}

/** oras-project/oras-go, copy.go: a HEAD by digest of each node, whose own are left out where it is there; PUT by tag. */
async function oras(to: PushedTo, image: LocalImage, tag: string): Promise<void> {
  await copyGraph(image)
  await putManifest(to, image, tag)

  async function copyGraph(node: LocalImage): Promise<void> {
    if ((await headManifest(to, node.digest, node.mediaType)) !== undefined) return
    for (const child of node.children) {
      await copyGraph(child)
      if ((await headManifest(to, child.digest, child.mediaType)) === undefined)
        await putManifest(to, child, child.digest)
    }
    for (const blob of inOrder(node)) if (!(await hasBlob(to, blob))) await putWhole(to, blob)
  }
}

const ALL_TYPES = [
  'application/vnd.docker.distribution.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.index.v1+json',
].join(',')

/** Layers first, then the configuration. */
function inOrder({ blobs: [config, ...layers] }: LocalImage): Buffer[] {
  return config ? [...layers, config] : []
}

async function hasBlob(to: PushedTo, blob: Buffer): Promise<boolean> {
  const { status } = await send(to, 'HEAD', `blobs/${digestOf(blob)}`, { expected: [200, 404] })
  return status === 200
}

/** The digest that the registry says a manifest has; undefined when it says that there is none. */
async function headManifest(to: PushedTo, reference: string, accept: string): Promise<string | undefined> {
  const answer = await send(to, 'HEAD', `manifests/${reference}`, {
    headers: { accept },
    expected: [200, 404],
  })
  return answer.status === 200 ? String(answer.headers['docker-content-digest']) : undefined
}

async function begin(to: PushedTo): Promise<string> {
  return locationOf(await send(to, 'POST', 'blobs/uploads/', { expected: [202] }))
}

async function patchAndPut(to: PushedTo, blob: Buffer): Promise<void> {
  const at = await begin(to)
  const patched = await send(to, 'PATCH', at, { body: blob, expected: [201, 202, 204] })
  await send(to, 'PUT', withDigest(locationOf(patched), blob), { expected: [201] })
}

async function putWhole(to: PushedTo, blob: Buffer): Promise<void> {
  await send(to, 'PUT', withDigest(await begin(to), blob), { body: blob, expected: [201] })
}

function locationOf({ headers }: PlainAnswer): string {
  return headers.location ?? ''
}

function withDigest(location: string, blob: Buffer): string {
  return `${location}${location.includes('?') ? '&' : '?'}digest=${digestOf(blob)}`
}

async function putManifest(to: PushedTo, { bytes, mediaType }: LocalImage, reference: string): Promise<void> {
  const headers = { 'content-type': mediaType }
  await send(to, 'PUT', `manifests/${reference}`, { headers, body: bytes, expected: [201] })
}

interface Sending {
  readonly headers?: Record<string, string>
  readonly body?: Buffer
  readonly expected: readonly number[]
}

const agent = new Agent({ keepAlive: true })

/** `where` is below the repository, or a Location. */
async function send(
  { url, authorization, repository }: PushedTo,
  method: string,
  where: string,
  { headers, body, expected }: Sending,
): Promise<PlainAnswer> {
  const base = /^(?:https?:|\/)/.test(where) ? where : `/v2/${repository}/${where}`
  const length = method === 'HEAD' ? {} : { 'content-length': body?.length ?? 0 }
  const answer = await ask(new URL(base, url).href, {
    method,
    headers: { authorization, ...length, ...headers },
    agent,
    ...(body && { body }),
  })
  if (expected.includes(answer.status)) return answer
  throw new PushFailed(`${method} ${base}`, answer.status, answer.bytes.toString())
}
