import { parseDigest, type Digest } from './digest.js'

/** Types of layers whose bytes are elsewhere, by agreement (image-spec, "Non-Distributable Layers"; Docker's foreign layers). */
const NOT_DISTRIBUTABLE = /foreign|nondistributable/

/**
 * The digests that a registry vouches for when it takes a manifest: its config, its layers and, of an index, its
 * manifests. Not its subject, nor layers that are fetched from elsewhere: those are taken unchecked
 * (distribution-spec, "Pushing Manifests"; image-spec, "Image Manifest"). Empty when the bytes are no manifest.
 */
export function digestsVouchedFor(manifest: Uint8Array): Digest[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(Buffer.from(manifest).toString('utf8'))
  } catch {
    return []
  }
  const { config, layers, manifests } = record(parsed)
  return [config, ...array(layers).filter(isDistributable), ...array(manifests)].flatMap(descriptor => {
    const { digest } = record(descriptor)
    return (typeof digest === 'string' && parseDigest(digest)) || []
  })
}

function isDistributable(layer: unknown): boolean {
  const { mediaType, urls } = record(layer)
  return array(urls).length === 0 && !(typeof mediaType === 'string' && NOT_DISTRIBUTABLE.test(mediaType))
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}

function array(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
