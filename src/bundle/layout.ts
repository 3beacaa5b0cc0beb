import { z } from 'zod'
import { parseBounded } from '../oci/bounded-json.js'
import { algorithmOf, hexOf, parseDigest, type Digest } from '../oci/digest.js'

/** The files of an image layout (image-spec 1.1, "OCI Image Layout Specification"). */
export const MARKER = 'oci-layout'
export const INDEX = 'index.json'

/** What the marker says. */
export const MARKER_BYTES = Buffer.from('{"imageLayoutVersion":"1.0.0"}')

/** The annotation that names an image in a layout (image-spec, "Pre-Defined Annotation Keys"). */
export const REF_NAME = 'org.opencontainers.image.ref.name'

/** Where containerd and BuildKit put the whole name, when they give the tag alone as the one above. */
const CONTAINERD_NAME = 'io.containerd.image.name'

export function pathOf(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`
}

/** The digest whose blob lies at a path; undefined for anything else. */
export function digestAt(path: string): Digest | undefined {
  const [folder, algorithm = '', hex = '', ...more] = path.split('/')
  return folder === 'blobs' && more.length === 0 ? parseDigest(`${algorithm}:${hex}`) : undefined
}

/** A manifest that an index names: what goes into a layout, and what is found in one. */
export interface NamedManifest {
  /** Undefined where the layout says none. */
  readonly name: string | undefined
  readonly digest: Digest
  readonly mediaType: string
  /** In bytes. */
  readonly size: number
}

/** One that is about to be written, which has a name. */
export type Named = NamedManifest & { readonly name: string }

export function indexBytes(images: readonly Named[]): Buffer {
  const manifests = images.map(({ name, digest, mediaType, size }) => ({
    mediaType,
    digest,
    size,
    annotations: { [REF_NAME]: name },
  }))
  const mediaType = 'application/vnd.oci.image.index.v1+json'
  return Buffer.from(`${JSON.stringify({ schemaVersion: 2, mediaType, manifests })}\n`)
}

const Marker = z.looseObject({ imageLayoutVersion: z.string().regex(/^1\.\d/) })

const Index = z.looseObject({
  manifests: z
    .array(
      z.looseObject({
        mediaType: z
          .string()
          .regex(/^[\x21-\x7e]+$/)
          .max(255),
        digest: z.string(),
        size: z.int().nonnegative(),
        annotations: z.record(z.string(), z.string()).nullish(),
      }),
    )
    .max(10_000),
})

export function isMarker(bytes: Buffer): boolean {
  return Marker.safeParse(parseBounded(bytes)).success
}

/** What an index names; undefined when it is none. */
export function parseIndex(bytes: Buffer): NamedManifest[] | undefined {
  const index = Index.safeParse(parseBounded(bytes))
  if (!index.success) return undefined
  const manifests: NamedManifest[] = []
  for (const { digest: text, mediaType, size, annotations } of index.data.manifests) {
    const digest = parseDigest(text)
    if (!digest) return undefined
    manifests.push({ name: nameIn(annotations ?? {}), digest, mediaType, size })
  }
  return manifests
}

function nameIn(annotations: Readonly<Record<string, string>>): string | undefined {
  const name = annotations[REF_NAME]
  return name?.includes('/') ? name : (annotations[CONTAINERD_NAME] ?? name)
}
