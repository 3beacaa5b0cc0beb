import { ambiguityIn } from './ambiguity.js'
import { parseDigest, type Digest } from './digest.js'
import { isDeeperThan, MAX_MANIFEST_DEPTH } from './json-depth.js'

/** What a manifest says of something else (image-spec, "OCI Content Descriptors"), as far as it is of use here. */
export interface Descriptor {
  readonly digest: Digest
  readonly mediaType: string | undefined
  /** In bytes; undefined when it is missing or nonsense. */
  readonly size: number | undefined
  /** Whether the bytes are elsewhere, by agreement (image-spec, "Non-Distributable Layers"; Docker's foreign layers). */
  readonly elsewhere: boolean
  /** Of an index's entry; undefined when it says none. */
  readonly platform: Platform | undefined
}

export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant: string | undefined
}

/** What a manifest names. Only whole descriptors are in it; what else stands there is passed over. */
export interface ManifestContent {
  readonly config: Descriptor | undefined
  readonly layers: readonly Descriptor[]
  /** Of an index: its manifests. */
  readonly manifests: readonly Descriptor[]
  readonly subject: Descriptor | undefined
}

const NOT_DISTRIBUTABLE = /foreign|nondistributable/i

/** Reads an image manifest or an index (image-spec); undefined when the bytes are no JSON object, or a bottomless one. */
export function parseManifest(bytes: Uint8Array): ManifestContent | undefined {
  const parsed = parsedObject(bytes)
  if (!parsed) return undefined
  const { config, layers, manifests, subject } = record(parsed)
  return {
    config: descriptorIn(config),
    layers: descriptorsIn(layers),
    manifests: descriptorsIn(manifests),
    subject: descriptorIn(subject),
  }
}

/**
 * The blobs that a registry vouches for when it takes a manifest: its config and its layers. Not its subject, nor
 * layers that are fetched from elsewhere: those are taken unchecked (distribution-spec, "Pushing Manifests"). Empty
 * when the bytes are no manifest, or one that another reader may understand otherwise.
 */
export function blobsVouchedFor(manifest: Uint8Array, mediaType?: string): Digest[] {
  if (ambiguityIn(manifest, mediaType) !== undefined) return []
  return blobsOf(parseManifest(manifest)).map(({ digest }) => digest)
}

/** The blobs without which an image cannot be pulled, each once. */
export function blobsOf(content: ManifestContent | undefined): Descriptor[] {
  if (!content) return []
  const { config, layers } = content
  const all = [...(config ? [config] : []), ...layers.filter(({ elsewhere }) => !elsewhere)]
  return [...new Map(all.map(descriptor => [descriptor.digest, descriptor])).values()]
}

/**
 * Every digest that a manifest names, of whatever kind it is: image manifest, index, artifact manifest (its `blobs`), or
 * Docker's schema 1 (its `fsLayers`); the subject too. Empty when the bytes are no manifest.
 */
export function digestsIn(manifest: Uint8Array): Digest[] {
  const { config, layers, manifests, blobs, fsLayers, subject } = record(parsedObject(manifest))
  const descriptors = [config, subject, ...array(layers), ...array(manifests), ...array(blobs)]
  const texts = [
    ...descriptors.map(each => record(each)['digest']),
    ...array(fsLayers).map(each => record(each)['blobSum']),
  ]
  const found = texts.flatMap(text => (typeof text === 'string' ? (parseDigest(text) ?? []) : []))
  return [...new Set(found)]
}

/** The media type that a manifest says of itself, which the image-spec recommends; undefined when it says none. */
export function mediaTypeIn(manifest: Uint8Array): string | undefined {
  const { mediaType } = record(parsedObject(manifest))
  return typeof mediaType === 'string' ? mediaType : undefined
}

/** As people write it: `linux/arm64/v8`. */
export function platformText({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/')
}

function descriptorsIn(value: unknown): Descriptor[] {
  return array(value).flatMap(each => descriptorIn(each) ?? [])
}

function descriptorIn(value: unknown): Descriptor | undefined {
  const { digest: text, mediaType, size, urls, platform } = record(value)
  const digest = typeof text === 'string' ? parseDigest(text) : undefined
  if (!digest) return undefined
  const type = typeof mediaType === 'string' ? mediaType : undefined
  return {
    digest,
    mediaType: type,
    size: typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 ? size : undefined,
    elsewhere:
      (urls !== undefined && !(Array.isArray(urls) && urls.length === 0)) ||
      (type !== undefined && NOT_DISTRIBUTABLE.test(type)),
    platform: platformIn(platform),
  }
}

/** The platform that an index's entry or an image's configuration names. */
export function platformIn(value: unknown): Platform | undefined {
  const { os, architecture, variant } = record(value)
  if (typeof os !== 'string' || typeof architecture !== 'string') return undefined
  return { os, architecture, variant: typeof variant === 'string' && variant !== '' ? variant : undefined }
}

function parsedObject(bytes: Uint8Array): object | undefined {
  if (isDeeperThan(bytes, MAX_MANIFEST_DEPTH)) return undefined
  try {
    const parsed: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}

function array(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
