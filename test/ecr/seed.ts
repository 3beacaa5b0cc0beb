import { gzipSync } from 'node:zlib'
import type { Repository, StoredManifest } from './accounts.js'
import { digestOfBytes, digestOfContent, generatedContent, memoryContent, type Content } from './content.js'
import { DOCKER, OCI } from './convert.js'
import { factsOf } from './manifest-facts.js'

/** Bytes as they are, or a size in bytes of which the content is made up on the fly from the seed. */
export type BlobSource = Buffer | string | { size: number; seed?: string }

export interface SeededBlob {
  readonly digest: string
  readonly size: number
}

export interface ImageSource {
  /** Layers as they are stored; one small gzipped tar when left out. */
  layers?: BlobSource[]
  format?: 'docker' | 'oci'
  architecture?: string
  /** Goes into the config, so that images differ. */
  label?: string
}

export interface SeededImage {
  readonly digest: string
  readonly mediaType: string
  readonly bytes: Buffer
  readonly config: SeededBlob
  readonly layers: readonly SeededBlob[]
}

export async function seedBlob(repository: Repository, source: BlobSource): Promise<SeededBlob> {
  const content: Content =
    typeof source === 'string' || Buffer.isBuffer(source)
      ? memoryContent(Buffer.from(source))
      : generatedContent(source.size, source.seed ?? String(source.size))
  const digest = await digestOfContent(content)
  if (!repository.blobs.has(digest)) repository.blobs.set(digest, content)
  return { digest, size: content.size }
}

/** Stores a manifest as it is, whether or not what it names is there. */
export function seedManifest(
  repository: Repository,
  tag: string | undefined,
  manifest: object | Buffer | string,
  mediaType?: string,
): StoredManifest {
  const bytes =
    typeof manifest === 'string' || Buffer.isBuffer(manifest)
      ? Buffer.from(manifest)
      : Buffer.from(JSON.stringify(manifest, undefined, 2))
  const facts = factsOf(bytes)
  if (!facts) throw new Error('A manifest is a JSON object.')
  const stored = {
    bytes,
    facts,
    mediaType: mediaType ?? facts.mediaType ?? OCI.manifest,
    digest: digestOfBytes(bytes),
  }
  repository.manifests.set(stored.digest, stored)
  if (tag !== undefined) repository.tags.set(tag, stored.digest)
  return stored
}

/** A real image that every client can unpack. */
export async function seedImage(
  repository: Repository,
  tag: string | undefined,
  source: ImageSource = {},
): Promise<SeededImage> {
  const types = source.format === 'oci' ? OCI : DOCKER
  const text = `Hello from ${repository.name}${source.label === undefined ? '' : `, ${source.label}`}.\n`
  const tar = tarOf('hello.txt', text)
  const layers: SeededBlob[] = []
  for (const each of source.layers ?? [gzipSync(tar)]) layers.push(await seedBlob(repository, each))
  const config = await seedBlob(
    repository,
    JSON.stringify({
      architecture: source.architecture ?? 'amd64',
      os: 'linux',
      created: '2024-01-01T00:00:00Z',
      config: { Cmd: ['/bin/true'], Labels: { name: source.label ?? repository.name } },
      rootfs: {
        type: 'layers',
        diff_ids: source.layers ? layers.map(layer => layer.digest) : [digestOfBytes(tar)],
      },
      history: layers.map(() => ({ created: '2024-01-01T00:00:00Z', created_by: 'COPY hello.txt /' })),
    }),
  )
  const { digest, bytes, mediaType } = seedManifest(repository, tag, {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: types.config, ...config },
    layers: layers.map(layer => ({ mediaType: types.layer, ...layer })),
  })
  return { digest, bytes, mediaType, config, layers }
}

/** A tar archive (POSIX ustar) with one file in it. */
export function tarOf(name: string, text: string): Buffer {
  const body = Buffer.from(text)
  const header = Buffer.alloc(512)
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`
  header.write(name, 0)
  header.write(octal(0o644, 7), 100)
  header.write(octal(0, 7), 108)
  header.write(octal(0, 7), 116)
  header.write(octal(body.length, 11), 124)
  header.write(octal(1704067200, 11), 136)
  header.write(' '.repeat(8), 148)
  header.write('0', 156)
  header.write('ustar\x0000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512), Buffer.alloc(1024)])
}
