import type { Digest } from './digest.js'
import { blobsOf, type ManifestKind, type ManifestReading } from './manifest.js'

const INDEX_TYPE = /index|manifest\.list/i

/**
 * Why two readers may take the same bytes under a media type for two manifests that name different blobs, or for none, in
 * words that follow "The manifest"; undefined when all who read it read the same, or when there is too much in it to tell.
 */
export function ambiguityIn(
  { problem, kind, mediaType: own }: ManifestReading,
  mediaType?: string,
): string | undefined {
  if (problem && problem.kind !== 'too large') return problem.text
  if (kind === 'image' && [mediaType, own].some(type => type !== undefined && INDEX_TYPE.test(type)))
    return 'has the type of an index and the layers of an image'
  return undefined
}

/**
 * The blobs that a registry vouches for when it takes a manifest: its config and its layers, each once. Not its subject,
 * nor layers that are fetched from elsewhere, nor an artifact's blobs: those are taken unchecked (distribution-spec,
 * "Pushing Manifests"). Empty when the manifest is not understood, or another reader may understand it otherwise.
 */
export function blobsVouchedFor(reading: ManifestReading, mediaType?: string): Digest[] {
  if (reading.kind !== 'image' || ambiguityIn(reading, mediaType) !== undefined) return []
  return blobsOf(reading.content).flatMap(({ digest, elsewhere }) => (elsewhere ? [] : digest))
}

/** What each media type says that a manifest is; only of these it is known what belongs to them. */
const KNOWN_TYPES: ReadonlyMap<string, ManifestKind> = new Map([
  ['application/vnd.docker.distribution.manifest.v2+json', 'image'],
  ['application/vnd.docker.distribution.manifest.list.v2+json', 'index'],
  ['application/vnd.oci.image.manifest.v1+json', 'image'],
  ['application/vnd.oci.image.index.v1+json', 'index'],
  ['application/vnd.oci.artifact.manifest.v1+json', 'artifact'],
])

/**
 * Why it cannot be told what belongs to a manifest, in words that follow "the manifest"; undefined when everything that a
 * pull of it asks for is in `content`. `mediaType` is what the upstream calls it.
 */
export function whyUnknown(reading: ManifestReading, mediaType: string | undefined): string | undefined {
  const { problem, content, kind, mediaType: own } = reading
  const ambiguity = problem?.text ?? ambiguityIn(reading, mediaType)
  if (ambiguity !== undefined) return ambiguity
  for (const type of [mediaType ?? own, own ?? mediaType]) {
    const known = KNOWN_TYPES.get(bareType(type ?? ''))
    if (!known) return 'has a media type that is not known here'
    if (known !== kind) return 'is not what its media type says'
  }
  return content?.isWhole ? undefined : 'lacks something, or names it in a way that is not known here'
}

function bareType(type: string): string {
  return (type.split(';')[0] ?? '').trim().toLowerCase()
}
