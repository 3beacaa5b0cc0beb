import { createHash, randomBytes } from 'node:crypto'
import { expect, expectBytes, expectHeader, type Answer, type Client } from './client.js'

export const OCI = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  empty: 'application/vnd.oci.empty.v1+json',
} as const

export const DOCKER = {
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  config: 'application/vnd.docker.container.image.v1+json',
  layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const

/** What a client that knows all of these formats says. */
export const ACCEPT = { accept: [OCI.manifest, OCI.index, DOCKER.manifest].join(', ') }

export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

export type Algorithm = 'sha256' | 'sha512'

export function digestOf(bytes: Buffer | string, algorithm: Algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

/** A repository that no other case knows. */
export function newRepository(): string {
  return `conformance/${randomBytes(6).toString('hex')}`
}

/** Bytes that were never pushed anywhere. */
export function newBytes(size = 3000): Buffer {
  return randomBytes(size)
}

export function describe(mediaType: string, bytes: Buffer, algorithm: Algorithm = 'sha256'): Descriptor {
  return { mediaType, digest: digestOf(bytes, algorithm), size: bytes.length }
}

export const uploadsOf = (repository: string): string => `/v2/${repository}/blobs/uploads/`
export const blobOf = (repository: string, digest: string): string => `/v2/${repository}/blobs/${digest}`
export const manifestOf = (repository: string, reference: string): string =>
  `/v2/${repository}/manifests/${reference}`

/** An upload's location with a parameter more. */
export function withQuery(url: URL, parameters: Record<string, string>): URL {
  const more = new URL(url)
  for (const [name, value] of Object.entries(parameters)) more.searchParams.set(name, value)
  return more
}

export async function beginUpload(client: Client, repository: string, query = ''): Promise<Answer> {
  const begun = await client.send('POST', uploadsOf(repository) + query)
  expect(begun, 202)
  return begun
}

/** POST, then PUT with the whole blob. */
export async function pushBlob(
  client: Client,
  repository: string,
  bytes: Buffer,
  algorithm: Algorithm = 'sha256',
): Promise<Answer> {
  const begun = await beginUpload(
    client,
    repository,
    algorithm === 'sha256' ? '' : `?digest-algorithm=${algorithm}`,
  )
  return finish(client, begun.location(), bytes, digestOf(bytes, algorithm))
}

/** The PUT that ends an upload, with the last bytes of the blob in it. */
export function finish(
  client: Client,
  location: URL,
  bytes: Buffer,
  digest: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return client.send('PUT', withQuery(location, { digest }), {
    headers: { 'content-type': 'application/octet-stream', ...headers },
    body: bytes,
  })
}

/**
 * Fails unless the answer says that the blob is there, under a Location where it is. Registries may keep a blob back
 * until an image has it, so one is pushed before the blob is pulled.
 */
export async function expectPushed(
  client: Client,
  repository: string,
  answer: Answer,
  bytes: Buffer,
  algorithm: Algorithm = 'sha256',
): Promise<void> {
  expect(answer, 201)
  const digest = digestOf(bytes, algorithm)
  const location = answer.location()
  const found = await client.send('HEAD', location)
  expect(found, 200)
  expectHeader(found, 'content-length', String(bytes.length))
  await pushImage(client, repository, digestOf(digest).slice(7, 27), {
    layers: [describe(OCI.layer, bytes, algorithm)],
  })
  const pulled = await client.send('GET', location)
  expect(pulled, 200)
  expectBytes(pulled, bytes)
  expect(await client.send('HEAD', blobOf(repository, digest)), 200)
}

export interface Image {
  readonly manifest: Buffer
  readonly digest: string
  readonly descriptor: Descriptor
  readonly config: Buffer
  /** The layer that was pushed with it, when none was given. */
  readonly layer: Buffer
}

export interface ImageParts {
  readonly layers?: readonly Descriptor[]
  /** Members of the manifest beside the usual ones. */
  readonly members?: Record<string, unknown>
  readonly types?: typeof OCI | typeof DOCKER
}

/** An image with a config of its own, pushed blob by blob; untagged when the reference is undefined. */
export async function pushImage(
  client: Client,
  repository: string,
  reference: string | undefined,
  parts: ImageParts = {},
): Promise<Image> {
  const image = await prepareImage(client, repository, parts)
  expect(
    await pushManifest(
      client,
      repository,
      reference ?? image.digest,
      image.manifest,
      (parts.types ?? OCI).manifest,
    ),
    201,
  )
  return image
}

/** Everything of an image but its manifest, pushed. */
export async function prepareImage(
  client: Client,
  repository: string,
  { layers, members = {}, types = OCI }: ImageParts = {},
): Promise<Image> {
  const layer = newBytes()
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      created: null,
      author: newBytes(8).toString('hex'),
    }),
  )
  expect(await pushBlob(client, repository, config), 201)
  if (!layers) expect(await pushBlob(client, repository, layer), 201)
  const manifest = Buffer.from(
    JSON.stringify(
      {
        schemaVersion: 2,
        mediaType: types.manifest,
        config: describe(types.config, config),
        layers: layers ?? [describe(types.layer, layer)],
        ...members,
      },
      undefined,
      2,
    ),
  )
  return {
    manifest,
    digest: digestOf(manifest),
    descriptor: describe(types.manifest, manifest),
    config,
    layer,
  }
}

export function pushManifest(
  client: Client,
  repository: string,
  target: string,
  bytes: Buffer | string,
  mediaType: string = OCI.manifest,
): Promise<Answer> {
  return client.send('PUT', manifestOf(repository, target), {
    headers: { 'content-type': mediaType },
    body: bytes,
  })
}

export function indexOf(manifests: readonly Descriptor[], members: Record<string, unknown> = {}): Buffer {
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI.index, manifests, ...members }))
}
