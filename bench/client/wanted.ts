import { MANIFEST_TYPE, type Blob, type Image } from '../content.js'
import { REPOSITORY } from '../upstream/upstream.js'

/** Something to be asked for, and what has to come. */
export interface Wanted {
  readonly path: string
  readonly accept: string
  readonly digest: string
  readonly size: number
}

export function blobWanted({ digest, size }: Blob): Wanted {
  return { path: `/v2/${REPOSITORY}/blobs/${digest}`, accept: '*/*', digest, size }
}

/** An image's manifest, by a tag, or else by its digest. */
export function manifestWanted({ manifest }: Image, tag?: string): Wanted {
  const { digest, text } = manifest
  const path = `/v2/${REPOSITORY}/manifests/${tag ?? digest}`
  return { path, accept: MANIFEST_TYPE, digest, size: text.length }
}
