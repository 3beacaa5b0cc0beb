import fc from 'fast-check'
import { digestOf } from '../../../src/oci/digest.js'
import type { Ecr } from '../../ecr/ecr.js'

const OCI_IMAGE = 'application/vnd.oci.image.manifest.v1+json'
const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
const DOCKER_IMAGE = 'application/vnd.docker.distribution.manifest.v2+json'
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'
const ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json'
const SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws'
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'
const FOREIGN = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'

export interface MadeBlob {
  readonly text: string
  /** Whether the registry has it. */
  readonly isThere: boolean
  readonly foreign: 'no' | 'by type' | 'by URLs'
  readonly says: 'all' | 'no size' | 'a wrong size' | 'an unknown digest'
  /** How often it is named. */
  readonly times: number
}

/** What is made of an image, an index or something that is called so. */
export type MadeManifest =
  | {
      readonly kind: 'image'
      readonly type: string
      readonly config: 'there' | 'missing' | 'null'
      readonly layers: readonly MadeBlob[]
      readonly extra: string
    }
  | { readonly kind: 'artifact'; readonly blobs: readonly MadeBlob[] }
  | { readonly kind: 'schema1'; readonly layers: readonly MadeBlob[] }
  | { readonly kind: 'odd'; readonly text: string; readonly type: string }
  | { readonly kind: 'index'; readonly type: string; readonly children: readonly MadeChild[] }

export interface MadeChild {
  readonly manifest: MadeManifest
  /** Whether the registry has it. */
  readonly isThere: boolean
  readonly platform: string | undefined
  readonly times: number
}

const blob: fc.Arbitrary<MadeBlob> = fc.record({
  text: fc.integer({ min: 0, max: 11 }).map(number => `layer ${number}`),
  isThere: often(true, false),
  foreign: fc.constantFrom<MadeBlob['foreign'][]>('no', 'no', 'no', 'no', 'by type', 'by URLs'),
  says: often<MadeBlob['says']>('all', 'no size', 'a wrong size', 'an unknown digest'),
  times: often(1, 2, 40),
})

/** The first nine times of ten. */
function often<T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof(
    { weight: 14, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  )
}

const extra = often(
  '',
  '"annotations":{"layers":"x","Layers":"y"},',
  '"x":{"manifests":[{"digest":"y"}]},',
  '"subject":{"digest":"sha256:00"},',
  '"Layers":[],',
  '"layers":[],',
  '"manifests":[],',
  '"fsLayers":[],',
  `"k":{${Array.from({ length: 100_001 }, (_, index) => `"${index.toString(36)}":0`).join(',')}},`,
)

const image: fc.Arbitrary<MadeManifest> = fc.record({
  kind: fc.constant('image' as const),
  type: often(OCI_IMAGE, DOCKER_IMAGE, 'application/vnd.example.image+json', OCI_INDEX),
  config: often<'there' | 'missing' | 'null'>('there', 'missing', 'null'),
  layers: fc.array(blob, { maxLength: 4 }),
  extra,
})

const leaf: fc.Arbitrary<MadeManifest> = fc.oneof(
  { weight: 12, arbitrary: image },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('artifact' as const), blobs: fc.array(blob, { maxLength: 3 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('schema1' as const), layers: fc.array(blob, { maxLength: 2 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('odd' as const),
      text: fc.constantFrom(
        '{}',
        '{"schemaVersion":2}',
        '{"layers":{}}',
        '{"config":[]}',
        `{"a":${'['.repeat(70)}${']'.repeat(70)}}`,
      ),
      type: fc.constantFrom(OCI_IMAGE, OCI_INDEX, 'text/html'),
    }),
  },
)

const platform = fc.constantFrom('linux/amd64', 'linux/arm64', 'linux/arm/v7', 'unknown/unknown', undefined)

function index(depth: number): fc.Arbitrary<MadeManifest> {
  const inner =
    depth > 0 ? fc.oneof({ weight: 3, arbitrary: leaf }, { weight: 1, arbitrary: index(depth - 1) }) : leaf
  return fc.record({
    kind: fc.constant('index' as const),
    type: often(OCI_INDEX, DOCKER_LIST),
    children: fc.array(
      fc.record({ manifest: inner, isThere: often(true, false), platform, times: often(1, 2, 40, 2_000) }),
      { maxLength: 4 },
    ),
  })
}

/** Images of which one in some is right in all. */
export const madeManifest: fc.Arbitrary<MadeManifest> = fc.oneof(
  { weight: 3, arbitrary: leaf },
  { weight: 3, arbitrary: index(0) },
  { weight: 2, arbitrary: index(3) },
  { weight: 1, arbitrary: index(6) },
)

/** Puts the manifest, and what it names, into the registry; gives its digest. */
export async function make(ecr: Ecr, repository: string, tag: string, made: MadeManifest): Promise<string> {
  async function descriptorOf(
    { text, isThere, foreign, says, times }: MadeBlob,
    mediaType = LAYER,
  ): Promise<object[]> {
    const digest: string = digestOf(Buffer.from(text))
    if (isThere) await ecr.putBlob(repository, text)
    const size = says === 'a wrong size' ? text.length + 1 : text.length
    const descriptor = {
      mediaType: foreign === 'by type' ? FOREIGN : mediaType,
      digest: says === 'an unknown digest' ? `blake3:${digest.slice(7)}` : digest,
      ...(says !== 'no size' && { size }),
      ...(foreign === 'by URLs' && { urls: ['https://elsewhere.example/layer'] }),
    }
    return Array<object>(times).fill(descriptor)
  }

  async function listOf(all: readonly MadeBlob[]): Promise<object[]> {
    const list: object[] = []
    for (const each of all) list.push(...(await descriptorOf(each)))
    return list
  }

  async function textOf(manifest: MadeManifest): Promise<{ text: string; type: string }> {
    switch (manifest.kind) {
      case 'odd':
        return manifest
      case 'image': {
        const { type, config, extra } = manifest
        const plain = { isThere: true, foreign: 'no', says: 'all', times: 1 } as const
        const [found] = await descriptorOf(
          { text: '{"os":"linux"}', ...plain },
          'application/vnd.oci.image.config.v1+json',
        )
        const fields = {
          ...(config === 'there' ? { config: found } : config === 'null' ? { config: null } : {}),
          layers: await listOf(manifest.layers),
        }
        return {
          text: `{"schemaVersion":2,"mediaType":"${type}",${extra}${JSON.stringify(fields).slice(1)}`,
          type,
        }
      }
      case 'artifact':
        return {
          text: JSON.stringify({ mediaType: ARTIFACT, blobs: await listOf(manifest.blobs) }),
          type: ARTIFACT,
        }
      case 'schema1': {
        const list = (await listOf(manifest.layers)) as { digest: string }[]
        const fsLayers = list.map(({ digest }) => ({ blobSum: digest }))
        return { text: JSON.stringify({ schemaVersion: 1, fsLayers }), type: SCHEMA1 }
      }
      case 'index': {
        const entries: object[] = []
        for (const { manifest: child, isThere, platform, times } of manifest.children) {
          const { digest, size, type } = await put(child, undefined, isThere)
          const [os, architecture, variant] = platform?.split('/') ?? []
          entries.push(
            ...Array<object>(times).fill({
              mediaType: type,
              digest,
              size,
              ...(platform !== undefined && { platform: { os, architecture, ...(variant && { variant }) } }),
            }),
          )
        }
        return {
          text: JSON.stringify({ schemaVersion: 2, mediaType: manifest.type, manifests: entries }),
          type: manifest.type,
        }
      }
    }
  }

  async function put(
    manifest: MadeManifest,
    tag: string | undefined,
    isThere: boolean,
  ): Promise<{ digest: string; size: number; type: string }> {
    const { text, type } = await textOf(manifest)
    const bytes = Buffer.from(text)
    const digest: string = digestOf(bytes)
    if (isThere) ecr.putManifest(repository, tag, bytes, { mediaType: type })
    return { digest, size: bytes.length, type }
  }

  const { digest } = await put(made, tag, true)
  return digest
}

/** What a client may ask for, by path under the repository, who takes all that the registry has of an image. */
export function partsIn(ecr: Ecr, repository: string, top: string, which: 'all' | 'to run'): string[] {
  const manifests = new Set([top])
  const blobs = new Set<string>()
  for (const digest of manifests) {
    const text = ecr.manifest(repository, digest)?.bytes.toString() ?? ''
    const passedOver = which === 'all' ? new Set<string>() : notToRun(text)
    // Whatever stands in it, since clients may understand it in many ways.
    for (const [named] of text.matchAll(/sha256:[0-9a-f]{64}/g)) {
      if (passedOver.has(named)) continue
      if (ecr.manifest(repository, named)) manifests.add(named)
      if (ecr.blob(repository, named)) blobs.add(named)
    }
  }
  return [...[...manifests].map(each => `manifests/${each}`), ...[...blobs].map(each => `blobs/${each}`)]
}

/** The layers that a client passes over who takes them from elsewhere. */
export function foreignIn(ecr: Ecr, repository: string, parts: readonly string[]): Set<string> {
  const foreign = new Set<string>()
  for (const part of parts) {
    const text = ecr.manifest(repository, part.replace('manifests/', ''))?.bytes.toString() ?? '{}'
    const { layers } = JSON.parse(text) as {
      layers?: { mediaType: string; digest: string; urls?: unknown }[]
    }
    if (!Array.isArray(layers)) continue
    for (const { mediaType, digest, urls } of layers)
      if (urls !== undefined || mediaType.includes('foreign')) foreign.add(`blobs/${digest}`)
  }
  return foreign
}

/** Of an index that has images to run, what it has besides. */
function notToRun(text: string): Set<string> {
  const { manifests = [] } = JSON.parse(text) as {
    manifests?: { digest: string; platform?: { os?: string } }[]
  }
  if (!Array.isArray(manifests)) return new Set()
  const toRun = new Set(
    manifests.filter(({ platform }) => platform?.os !== 'unknown').map(each => each.digest),
  )
  return new Set(toRun.size === 0 ? [] : manifests.map(each => each.digest).filter(each => !toRun.has(each)))
}
