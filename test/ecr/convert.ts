import type { Repository, StoredManifest } from './accounts.js'
import { bytesOf, digestOfBytes } from './content.js'
import { asObject, asText, factsOf, objects, parseObject, type JsonObject } from './manifest-facts.js'

export const DOCKER = {
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  index: 'application/vnd.docker.distribution.manifest.list.v2+json',
  config: 'application/vnd.docker.container.image.v1+json',
  layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const
export const OCI = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const
const SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+json'
const SIGNED_SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws'

/**
 * What ECR gives for a tag to a client that does not know the stored format (ECR user guide, "Container image
 * manifest format support"). The outcome has a digest of its own, under which nothing is stored.
 */
export async function converted(
  stored: StoredManifest,
  accept: string,
  repository: Repository,
  tag: string,
): Promise<StoredManifest> {
  const accepted = accept.split(',').map(each => (each.split(';')[0] ?? '').trim())
  const takes = (mediaType: string): boolean => accepted.includes(mediaType)
  if (accept === '' || takes('*/*') || takes('application/*') || takes(stored.mediaType)) return stored
  const manifest = parseObject(stored.bytes.toString('utf8'))
  if (!manifest) return stored
  if (stored.mediaType === DOCKER.manifest && takes(OCI.manifest)) return retyped(manifest, DOCKER, OCI)
  if (stored.mediaType === OCI.manifest && takes(DOCKER.manifest)) return retyped(manifest, OCI, DOCKER)
  if (stored.mediaType === DOCKER.manifest && (takes(SCHEMA1) || takes(SIGNED_SCHEMA1))) {
    return asSchema1(manifest, repository, tag)
  }
  return stored
}

type MediaTypes = typeof DOCKER | typeof OCI

function retyped(manifest: JsonObject, from: MediaTypes, to: MediaTypes): StoredManifest {
  const types: Record<string, string> = { [from.config]: to.config, [from.layer]: to.layer }
  const change = (descriptor: JsonObject): JsonObject => {
    const mediaType = asText(descriptor['mediaType']) ?? ''
    return { ...descriptor, mediaType: types[mediaType] ?? mediaType }
  }
  return made(to.manifest, {
    ...manifest,
    mediaType: to.manifest,
    config: change(asObject(manifest['config']) ?? {}),
    layers: objects(manifest['layers']).map(change),
  })
}

async function asSchema1(manifest: JsonObject, repository: Repository, tag: string): Promise<StoredManifest> {
  const config = repository.blobs.get(asText(asObject(manifest['config'])?.['digest']) ?? '')
  const text = config ? (await bytesOf(config)).toString('utf8') : '{}'
  const layers = objects(manifest['layers']).reverse()
  return made(SIGNED_SCHEMA1, {
    schemaVersion: 1,
    name: repository.name,
    tag,
    architecture: asText(parseObject(text)?.['architecture']) ?? 'amd64',
    fsLayers: layers.map(layer => ({ blobSum: layer['digest'] })),
    history: layers.map((_, index) => ({ v1Compatibility: index === 0 ? text : '{}' })),
  })
}

function made(mediaType: string, manifest: JsonObject): StoredManifest {
  const bytes = Buffer.from(JSON.stringify(manifest, undefined, 3))
  const facts = factsOf(bytes)
  if (!facts) throw new Error('A converted manifest is JSON.')
  return { bytes, mediaType, facts, digest: digestOfBytes(bytes) }
}
