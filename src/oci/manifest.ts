import { parseDigest, type Digest } from './digest.js'
import { outlineOf, type JsonOutline, type RootField } from './json-outline.js'
import { MAX_DESCRIPTORS, MAX_MANIFEST_DEPTH, MAX_VALUES } from './manifest-limits.js'

/** What a manifest says of something else (image-spec, "OCI Content Descriptors"), as far as it is of use here. */
export interface Descriptor {
  readonly digest: Digest
  readonly mediaType: string | undefined
  /** In bytes; undefined when it is missing or nonsense. */
  readonly size: number | undefined
  /**
   * Whether the bytes may be elsewhere, by agreement (image-spec, "Non-Distributable Layers"; Docker's foreign layers).
   * A registry may have them all the same.
   */
  readonly elsewhere: boolean
  /** Of an index's entry; undefined when it says none. */
  readonly platform: Platform | undefined
}

export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant: string | undefined
}

/** What a manifest is by the fields that it has. */
export type ManifestKind = 'image' | 'index' | 'artifact' | 'schema1'

/** What a manifest names. Only whole descriptors are in it. */
export interface ManifestContent {
  /** Undefined when it has none of the fields that tell. */
  readonly kind: ManifestKind | undefined
  readonly config: Descriptor | undefined
  readonly layers: readonly Descriptor[]
  /** Of an index: its manifests. */
  readonly manifests: readonly Descriptor[]
  /** Of an artifact (image-spec 1.1.0-rc2, "OCI Artifact Manifest"). */
  readonly blobs: readonly Descriptor[]
  readonly subject: Descriptor | undefined
  /** Whether it has all that its kind must have, and every descriptor in it is one. */
  readonly isWhole: boolean
}

/** What one look at a manifest's bytes tells. The same bytes tell the same, whoever sends them. */
export interface ManifestReading {
  /** Undefined when the manifest is not understood, and then nothing that it names may be believed. */
  readonly content: ManifestContent | undefined
  /** The media type that it says of itself, which the image-spec recommends. */
  readonly mediaType: string | undefined
  readonly kind: ManifestKind | undefined
  readonly problem: ManifestProblem | undefined
  /** Of memory, in bytes, by estimate. */
  readonly weight: number
}

/** Why a manifest is not understood, in words that follow "The manifest". */
export interface ManifestProblem {
  /** It can be understood in two ways, or in none; or it is beyond what is read here, and may be right. */
  readonly kind: 'depth' | 'ambiguous' | 'too large'
  readonly text: string
}

/** By which of its fields a manifest is of a kind. At most one kind is in a manifest. */
const KINDS: Readonly<Record<ManifestKind, readonly RootField[]>> = {
  image: ['config', 'layers'],
  index: ['manifests'],
  artifact: ['blobs'],
  schema1: ['fsLayers'],
}

const NOT_DISTRIBUTABLE = /foreign|nondistributable/i

/**
 * Reads a manifest: once from its first byte to its last, and only when it is within bounds it is parsed. One that two
 * readers may take for two manifests that name different blobs is not understood: one registry takes the first of two
 * `layers`, another the last, one looks at `layers` and another at `manifests` (CVE-2021-41190), and Go's takes `Layers`
 * for `layers`, so that what one has checked would be vouched for by the other. Takes some tens of milliseconds for the
 * largest, so that callers remember what it tells (`ManifestReadings`).
 */
export function readManifest(bytes: Uint8Array): ManifestReading {
  const text = decodeUtf8(bytes)
  if (text === undefined) return notUnderstood('ambiguous', 'is not UTF-8')
  const outline = outlineOf(bytes, MAX_MANIFEST_DEPTH)
  if (outline.fault === 'depth')
    return notUnderstood('depth', `is nested more than ${MAX_MANIFEST_DEPTH} deep`)
  if (outline.fault !== undefined || !outline.isObject)
    return notUnderstood('ambiguous', 'is not a JSON object')
  const { twofold } = outline
  if (twofold !== undefined)
    return notUnderstood('ambiguous', `has the field "${twofold}" twice, or in another spelling`)
  const kinds = kindsIn(outline)
  if (kinds.length > 1)
    return notUnderstood('ambiguous', 'is of more than one kind: an image has layers, an index has manifests')
  const [kind] = kinds
  const mediaType = mediaTypeIn(bytes, outline)
  const excess = excessOf(outline)
  if (excess !== undefined) return notUnderstood('too large', excess, { kind, mediaType })
  const content = contentIn(record(JSON.parse(text)), kind)
  return {
    content,
    kind,
    mediaType,
    problem: undefined,
    weight: BARE_WEIGHT + bytes.length + outline.descriptors * DESCRIPTOR_WEIGHT,
  }
}

const BARE_WEIGHT = 512
const DESCRIPTOR_WEIGHT = 200

function notUnderstood(
  problem: ManifestProblem['kind'],
  text: string,
  known: Partial<Pick<ManifestReading, 'kind' | 'mediaType'>> = {},
): ManifestReading {
  const { kind, mediaType } = known
  const weight = BARE_WEIGHT + 2 * (mediaType?.length ?? 0)
  return { content: undefined, kind, mediaType, problem: { kind: problem, text }, weight }
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function kindsIn({ fields }: JsonOutline): ManifestKind[] {
  return (['image', 'index', 'artifact', 'schema1'] as const).filter(kind =>
    KINDS[kind].some(field => fields.has(field)),
  )
}

function mediaTypeIn(bytes: Uint8Array, { mediaType }: JsonOutline): string | undefined {
  if (!mediaType) return undefined
  const { start, end } = mediaType
  const value: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(start, end)))
  return typeof value === 'string' ? value : undefined
}

function excessOf({ values, descriptors }: JsonOutline): string | undefined {
  if (values > MAX_VALUES) return `has more than ${MAX_VALUES} fields and elements`
  return descriptors > MAX_DESCRIPTORS ? `names more than ${MAX_DESCRIPTORS} others` : undefined
}

function contentIn(
  manifest: Readonly<Record<string, unknown>>,
  kind: ManifestKind | undefined,
): ManifestContent {
  const { config, layers, manifests, blobs, subject } = manifest
  const lists = {
    layers: descriptorsIn(layers),
    manifests: descriptorsIn(manifests),
    blobs: descriptorsIn(blobs),
  }
  const found = descriptorIn(config)
  const isWhole: Readonly<Record<ManifestKind, boolean>> = {
    image: found !== undefined && isAll(layers, lists.layers),
    index: isAll(manifests, lists.manifests),
    artifact: isAll(blobs, lists.blobs),
    schema1: false,
  }
  return {
    kind,
    config: found,
    ...lists,
    subject: descriptorIn(subject),
    isWhole: kind !== undefined && isWhole[kind],
  }
}

function isAll(list: unknown, found: readonly Descriptor[]): boolean {
  return Array.isArray(list) && list.length === found.length
}

/** The blobs that a manifest names, each once: one that is named as any other is not elsewhere. */
export function blobsOf(content: ManifestContent | undefined): Descriptor[] {
  if (!content) return []
  const { config, layers, blobs } = content
  const each = new Map<Digest, Descriptor>()
  for (const descriptor of [...(config ? [config] : []), ...layers, ...blobs]) {
    if (each.get(descriptor.digest)?.elsewhere !== false) each.set(descriptor.digest, descriptor)
  }
  return [...each.values()]
}

/** What an index's entry is for that is no image to run, such as BuildKit's attestations. */
const NO_PLATFORM = 'unknown/unknown'

/** Whether an index's entry is an image to run; where none is, each counts as one. */
export function isImageToRun(child: Descriptor, siblings: readonly Descriptor[]): boolean {
  return hasPlatform(child) || !siblings.some(hasPlatform)
}

function hasPlatform({ platform }: Descriptor): boolean {
  return !platform || platformText(platform) !== NO_PLATFORM
}

/** Every digest that a manifest names, its subject too, each once. Undefined when not all of them are known. */
export function digestsNamed({ content }: ManifestReading): readonly Digest[] | undefined {
  if (!content?.isWhole) return undefined
  const { config, subject, layers, blobs, manifests } = content
  const named = [
    ...(config ? [config] : []),
    ...(subject ? [subject] : []),
    ...layers,
    ...blobs,
    ...manifests,
  ]
  return [...new Set(named.map(({ digest }) => digest))]
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

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}

function array(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
