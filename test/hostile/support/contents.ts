import { createHash } from 'node:crypto'
import type { Content } from './scripted-upstream.js'

export interface Contents extends Content {
  readonly blobDigest: string
  readonly manifestDigest: string
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

const sha256 = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** A blob of so many bytes, and an image manifest that names it; for each number others, and always the same. */
export function contents(number: number, size = 10_000): Contents {
  const seed = createHash('sha512').update(String(number)).digest()
  const blob = Buffer.alloc(size)
  for (let at = 0; at < size; at++) blob[at] = (seed[at % 64] ?? 0) ^ (at >> 6)
  const descriptor = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: sha256(blob), size }
  const manifest = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: descriptor, layers: [descriptor] }),
  )
  return { blob, manifest, mediaType: MANIFEST, blobDigest: sha256(blob), manifestDigest: sha256(manifest) }
}
