import { IMAGE, INDEX, indexNaming, made, manyKeys, paddedImage, type MadeManifest } from './manifests.js'

const DOCKER = 'application/vnd.docker.distribution.manifest.v2+json'
const LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'
const FIRST = 'application/vnd.docker.distribution.manifest.v1+prettyjws'
const ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json'

export interface HostileManifest extends MadeManifest {
  /** What is hostile about it; a tag that it can be pushed as. */
  readonly name: string
}

interface Made {
  readonly type: string
  readonly bytes: Buffer | string
}

/** Numbers of at least 0 and less than 1 that are the same for the same seed (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** So many of what is made, separated by commas, that they have about `size` bytes in all. */
function filled(size: number, make: (index: number) => string): string {
  const parts: string[] = []
  for (let length = 0, index = 0; length < size; index++) {
    const part = make(index)
    parts.push(part)
    length += Buffer.byteLength(part) + 1
  }
  parts.pop()
  return parts.join(',')
}

/**
 * Manifests that are made to cost: each of about `size` bytes, the same for the same seed. Those come first that are a
 * burden by themselves, then those that name many others. Some are no JSON, which only an upstream can serve.
 */
export function* hostileManifests(seed: number, size: number): Generator<HostileManifest> {
  const random = numbers(seed)
  const digest = (): string =>
    `sha256:${Array.from({ length: 8 }, () =>
      Math.floor(random() * 2 ** 32)
        .toString(16)
        .padStart(8, '0'),
    ).join('')}`
  const one = digest()
  // What is put around the filling has to fit as well.
  const room = size - 400
  const descriptor = (more = '', of = digest()): string =>
    `{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"${of}","size":1${more}}`
  const object = (type: string, ...fields: readonly string[]): Made => ({
    type,
    bytes: `{"schemaVersion":2,"mediaType":"${type}",${fields.join(',')}}`,
  })
  const image = (...fields: readonly string[]): Made => object(IMAGE, ...fields)
  const index = (...fields: readonly string[]): Made => object(INDEX, ...fields)
  const note = (value: string): Made => image(`"layers":[],"annotations":{"note":${value}}`)
  const key = (): string => Math.floor(random() * 36 ** 4).toString(36)

  const burdens: Readonly<Record<string, () => Made>> = {
    padding: () => note(`"${'x'.repeat(room)}"`),
    spaces: () => image(`"layers":[${' '.repeat(room)}]`),
    'short-keys': () => ({ type: IMAGE, bytes: manyKeys(size).bytes }),
    'distinct-keys': () =>
      image(`"layers":[],"annotations":{${filled(room, at => `"${at.toString(36)}":0`)}}`),
    'random-keys-at-the-root': () => image(`"layers":[],${filled(room, () => `"${key()}":0`)}`),
    'keys-in-upper-case': () => image(`"layers":[],${filled(room, at => `"LAYER${at.toString(36)}":0`)}`),
    'escaped-keys': () =>
      image(`"layers":[],${filled(room, () => `"\\u006cayer\\u007${Math.floor(random() * 10)}":0`)}`),
    'keys-that-fold': () => image(`"layers":[],${filled(room, at => `"layer\u017f${at}":0`)}`),
    objects: () => image(`"layers":[],"a":[${filled(room, () => '{}')}]`),
    'objects-with-keys': () => image(`"layers":[],"a":[${filled(room, () => '{"a":1}')}]`),
    arrays: () => image(`"layers":[],"a":[${filled(room, () => '[]')}]`),
    nulls: () => image(`"layers":[],"a":[${filled(room, () => 'null')}]`),
    'depth-64': () => image(`"layers":[],"a":[${filled(room, () => `${'['.repeat(61)}${']'.repeat(61)}`)}]`),
    'depth-of-arrays': () => image(`"layers":[],"a":${'['.repeat(room / 2)}${']'.repeat(room / 2)}`),
    'depth-of-objects': () => image(`"layers":[],"a":${'{"a":'.repeat(room / 6)}0${'}'.repeat(room / 6)}`),
    'depth-unclosed': () => ({ type: IMAGE, bytes: `{"layers":${'['.repeat(room)}` }),
    'quotes-escaped': () => note(`"${'\\"'.repeat(room / 2)}"`),
    backslashes: () => note(`"${'\\\\'.repeat(room / 2)}"`),
    escapes: () => note(`"${'\\u0061'.repeat(room / 6)}"`),
    'escaped-surrogates': () => note(`"${'\\ud83d\\ude00'.repeat(room / 12)}"`),
    'lone-surrogates': () => note(`"${'\\ud800'.repeat(room / 6)}"`),
    unicode: () => note(`"${'\u{1f600}'.repeat(room / 4)}"`),
    'string-unclosed': () => ({ type: IMAGE, bytes: `{"layers":["${'x'.repeat(room)}` }),
    'short-strings': () => image(`"layers":[],"a":[${filled(room, () => '""')}]`),
    digits: () => image(`"layers":[],"a":${'9'.repeat(room)}`),
    'digits-after-the-point': () => image(`"layers":[],"a":0.${'1'.repeat(room)}`),
    'numbers-too-large': () => image(`"layers":[],"a":[${filled(room, () => '1e400')}]`),
    'sizes-too-large': () => image(`"layers":[${filled(room, () => `{"digest":"${one}","size":1e400}`)}]`),
    'same-field-twice': () => image(filled(room, () => '"layers":[]')),
    'same-field-of-descriptors-twice': () =>
      image(`"layers":[${filled(room, () => `{"digest":"${one}","digest":"${one}"}`)}]`),
    proto: () =>
      image(`"layers":[],${filled(room, () => '"__proto__":{"layers":[]},"constructor":{"prototype":{}}')}`),
    'not-utf-8': () => ({
      type: IMAGE,
      bytes: Buffer.concat([Buffer.from('{"layers":[],"a":"'), Buffer.alloc(room, 0xff), Buffer.from('"}')]),
    }),
    'not-utf-8-at-the-end': () => ({
      type: IMAGE,
      bytes: Buffer.concat([
        Buffer.from(`{"layers":[],"a":"${'x'.repeat(room)}`),
        Buffer.from([0xc3, 0x22, 0x7d]),
      ]),
    }),
    zeros: () => ({ type: IMAGE, bytes: Buffer.alloc(size) }),
    'cut-off': () => ({
      type: IMAGE,
      bytes: `{"schemaVersion":2,"layers":[${filled(room, () => descriptor())}`,
    }),
    'two-values': () => ({ type: IMAGE, bytes: `{"layers":[]}${' '.repeat(room)}{"layers":[]}` }),
    'long-media-type': () => image(`"layers":[],"artifactType":"a/${'b'.repeat(room)}"`),
    'long-digest': () => image(`"layers":[{"digest":"sha256:${'0'.repeat(room)}"}]`),
  }
  const names: Readonly<Record<string, () => Made>> = {
    'layers-repeated': () => image(`"layers":[${filled(room, () => descriptor('', one))}]`),
    layers: () => image(`"layers":[${filled(room, () => descriptor())}]`),
    'layers-with-urls': () =>
      image(
        `"layers":[${filled(room, at => descriptor(`,"urls":[${filled(2_000, () => `"http://h${at}.example/"`)}]`))}]`,
      ),
    'layers-with-annotations': () =>
      image(
        `"layers":[${filled(room, () => descriptor(`,"annotations":{${filled(500, () => `"${key()}":"x"`)}}`))}]`,
      ),
    'layers-inline': () => image(`"layers":[${filled(room, () => descriptor(',"data":"eA=="'))}]`),
    'config-as-array': () => image(`"config":[${filled(room, () => descriptor())}],"layers":[]`),
    'docker-layers': () =>
      object(DOCKER, `"config":${descriptor()},"layers":[${filled(room, () => descriptor())}]`),
    'artifact-blobs': () => object(ARTIFACT, `"blobs":[${filled(room, () => descriptor())}]`),
    subject: () => image(`"layers":[],"subject":${descriptor(`,"annotations":{"a":"${'x'.repeat(room)}"}`)}`),
    'first-format': () => ({
      type: FIRST,
      bytes: `{"schemaVersion":1,"fsLayers":[${filled(room / 2, () => `{"blobSum":"${digest()}"}`)}],"history":[${filled(room / 2, () => '{"v1Compatibility":"{\\"id\\":\\"a\\"}"}')}]}`,
    }),
    'children-without-digest': () => index(`"manifests":[${filled(room, () => '{}')}]`),
    'children-no-digest': () => index(`"manifests":[${filled(room, () => '{"digest":"x"}')}]`),
    children: () => index(`"manifests":[${filled(room, () => descriptor())}]`),
    'children-with-platforms': () =>
      index(
        `"manifests":[${filled(room, at => descriptor(`,"platform":{"os":"${'o'.repeat(at % 4_000)}","architecture":"a${at}"}`))}]`,
      ),
    'children-of-a-list': () => object(LIST, `"manifests":[${filled(room, () => descriptor())}]`),
    'layers-and-children': () =>
      index(
        `"layers":[${filled(room / 2, () => descriptor())}],"manifests":[${filled(room / 2, () => descriptor())}]`,
      ),
  }
  for (const [name, make] of Object.entries({ ...burdens, ...names })) {
    const { type, bytes } = make()
    yield { name, ...made(bytes, type) }
  }

  const child = paddedImage(size, 'c')
  yield { name: 'child', ...child }
  yield { name: 'child-repeated', ...indexNaming(child, Math.floor(room / 85)) }
  let inner: MadeManifest = child
  for (let level = 1; level <= 4; level++) {
    inner = indexNaming(inner, Math.min(700, Math.floor(room / 85)), `level ${level}`)
    yield { name: `nested-${level}`, ...inner }
  }
}
