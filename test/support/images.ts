import { digestOf } from './pushing.js'

const TYPES = {
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  },
  oci: {
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    index: 'application/vnd.oci.image.index.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  },
} as const

export type Format = keyof typeof TYPES

/** An image or an index as a client has it before it pushes it. */
export interface LocalImage {
  readonly mediaType: string
  readonly bytes: Buffer
  readonly digest: string
  /** The configuration, then the layers; none of an index. */
  readonly blobs: readonly Buffer[]
  /** The images of an index. */
  readonly children: readonly LocalImage[]
}

/** Layers that are no archives: what only passes bytes on does not look into them. */
export function localImage(label: string, layers: readonly Buffer[], format: Format = 'oci'): LocalImage {
  const types = TYPES[format]
  const config = Buffer.from(
    JSON.stringify({ architecture: 'amd64', os: 'linux', config: { Labels: { label } } }),
  )
  return made(
    types.manifest,
    {
      config: descriptor(types.config, config),
      layers: layers.map(layer => descriptor(types.layer, layer)),
    },
    [config, ...layers],
    [],
  )
}

export function localIndex(children: readonly LocalImage[], format: Format = 'oci'): LocalImage {
  const manifests = children.map(({ mediaType, bytes }, index) => ({
    ...descriptor(mediaType, bytes),
    platform: { os: 'linux', architecture: index === 0 ? 'amd64' : `arm${index}` },
  }))
  return made(TYPES[format].index, { manifests }, [], children)
}

function made(
  mediaType: string,
  content: object,
  blobs: readonly Buffer[],
  children: readonly LocalImage[],
): LocalImage {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...content }))
  return { mediaType, bytes, digest: digestOf(bytes), blobs, children }
}

function descriptor(mediaType: string, bytes: Buffer): object {
  return { mediaType, digest: digestOf(bytes), size: bytes.length }
}
