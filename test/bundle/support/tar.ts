import { createHash } from 'node:crypto'
import { Header, Pax } from 'tar'
import type { types } from 'tar'

/** An entry of a tar archive that is made up. */
export interface MadeEntry {
  readonly path: string
  readonly bytes?: Buffer | string
  readonly type?: types.EntryTypeName
  readonly linkpath?: string
  /** What the header says, if not the truth. */
  readonly size?: number
  /** Says the name or the size in an extended header. */
  readonly pax?: boolean
}

/** An archive of these entries, in this order. */
export function tarOf(...entries: readonly MadeEntry[]): Buffer {
  return Buffer.concat([...entries.map(entryBytes), Buffer.alloc(1024)])
}

export function entryBytes({ path, bytes = '', type = 'File', linkpath, size, pax }: MadeEntry): Buffer {
  const body = Buffer.from(bytes)
  const said = size ?? body.length
  const header = new Header({
    path: pax ? 'short' : path,
    size: pax ? 0 : said,
    mode: 0o600,
    uid: 1000,
    mtime: new Date(1e12),
    type,
    ...(linkpath !== undefined && { linkpath }),
  })
  header.encode()
  return Buffer.concat([
    ...(pax ? [new Pax({ path, size: said }).encode()] : []),
    header.block!,
    body,
    Buffer.alloc((512 - (body.length % 512)) % 512),
  ])
}

export async function* inPieces(bytes: Buffer, length = 1000): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}

export function sha256(bytes: Buffer | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** The entry of a blob in a layout. */
export function blobEntry(bytes: Buffer | string, digest = sha256(bytes)): MadeEntry {
  return { path: `blobs/${digest.replace(':', '/')}`, bytes }
}

export const MARKER_ENTRY: MadeEntry = { path: 'oci-layout', bytes: '{"imageLayoutVersion":"1.0.0"}' }

export interface MadeImage {
  readonly manifest: Buffer
  readonly digest: string
  readonly mediaType: string
  readonly blobs: readonly Buffer[]
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

export function imageOf(seed: string, layers = 2): MadeImage {
  const config = Buffer.from(JSON.stringify({ os: 'linux', architecture: 'amd64', seed }))
  const blobs = Array.from({ length: layers }, (_, index) => Buffer.alloc(3000 + index, `${seed} ${index}`))
  const described = (bytes: Buffer, mediaType: string): object => ({
    mediaType,
    digest: sha256(bytes),
    size: bytes.length,
  })
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: described(config, 'application/vnd.oci.image.config.v1+json'),
      layers: blobs.map(bytes => described(bytes, 'application/vnd.oci.image.layer.v1.tar')),
    }),
  )
  return { manifest, digest: sha256(manifest), mediaType: MANIFEST, blobs: [config, ...blobs] }
}

export function indexEntry(
  ...images: readonly (Pick<MadeImage, 'manifest' | 'mediaType'> & { readonly name?: string })[]
): MadeEntry {
  const manifests = images.map(({ manifest, mediaType, name }) => ({
    mediaType,
    digest: sha256(manifest),
    size: manifest.length,
    ...(name !== undefined && { annotations: { 'org.opencontainers.image.ref.name': name } }),
  }))
  return { path: 'index.json', bytes: JSON.stringify({ schemaVersion: 2, manifests }) }
}

/** All of an image's blobs, its manifest included. */
export function blobEntries({ manifest, blobs }: MadeImage): MadeEntry[] {
  return [manifest, ...blobs].map(bytes => blobEntry(bytes))
}
