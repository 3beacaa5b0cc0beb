import t from 'tap'
import { ambiguityIn, whyUnknown } from '../../src/oci/ambiguity.js'
import { digestOf } from '../../src/oci/digest.js'
import { readManifest } from '../../src/oci/manifest.js'

const IMAGE = 'application/vnd.oci.image.manifest.v1+json'
const INDEX = 'application/vnd.oci.image.index.v1+json'
const layer = { digest: 'x', mediaType: 'a/b', urls: [], annotations: { Digest: '1', digest: '2' } }

t.test('manifests as clients write them are clear', async t => {
  for (const [type, manifest] of [
    [IMAGE, { schemaVersion: 2, mediaType: IMAGE, config: layer, layers: [layer, layer], subject: layer }],
    [INDEX, { schemaVersion: 2, manifests: [layer], annotations: { layers: 'x', Layers: 'y' } }],
    [undefined, { schemaVersion: 2, layers: [] }],
    ['application/vnd.docker.distribution.manifest.v1+prettyjws', { schemaVersion: 1, fsLayers: [] }],
    [IMAGE, { 'a "quoted" { key \\': '}]"', layers: [{ digest: '\\"' }] }],
    [IMAGE, { layers: [], nested: { layers: [], LAYERS: [] } }],
  ] as const) {
    const text = JSON.stringify(manifest, undefined, 2)
    t.equal(ambiguityIn(readManifest(Buffer.from(text)), type), undefined, text.slice(0, 60))
  }
})

t.test('what is unclear is named', async t => {
  for (const [text, said, type] of [
    ['{"layers":[],"layers":[]}', /"layers" twice/],
    ['{"layers":[],"L\\u0061yers":[]}', /"layers" twice/],
    ['{"config":{"digest":"a","DIGEST":"b"}}', /"digest" twice/],
    ['{"manifests":[{"urls":[],"urls":[]}]}', /"urls" twice/],
    ['{"layers":[],"manifests":[]}', /more than one kind/],
    ['{"layers":[],"blobs":[]}', /more than one kind/],
    ['{"layers":[]}', /type of an index/, INDEX],
    ['{"mediaType":"' + INDEX + '","config":{}}', /type of an index/],
    ['[]', /not a JSON object/],
    ['{', /not a JSON object/],
    ['{"a":"\\', /not a JSON object/],
    ['['.repeat(65), /64 deep/],
  ] as const)
    t.match(ambiguityIn(readManifest(Buffer.from(text)), type), said, text.slice(0, 60))
  t.match(ambiguityIn(readManifest(Buffer.from([0x7b, 0xff, 0x7d]))), /UTF-8/)
})

t.test('what belongs to a manifest is known only where its kind, its type and all in it are', async t => {
  const known = { digest: digestOf(Buffer.from('x')) }
  const ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json'
  for (const [manifest, type, said] of [
    [{ config: known, layers: [known] }, IMAGE, undefined],
    [{ config: known, layers: [] }, `${IMAGE}; charset=utf-8`, undefined],
    [{ mediaType: IMAGE, config: known, layers: [] }, undefined, undefined],
    [{ manifests: [] }, INDEX, undefined],
    [{ blobs: [known] }, ARTIFACT, undefined],
    [{ layers: [known] }, IMAGE, /lacks something/],
    [{ config: known }, IMAGE, /lacks something/],
    [{ config: known, layers: [{ digest: 'blake3:00' }] }, IMAGE, /names it/],
    [{ config: known, layers: [known] }, 'application/json', /media type/],
    [{ config: known, layers: [known] }, undefined, /media type/],
    [{ mediaType: 'a/b', config: known, layers: [known] }, IMAGE, /media type/],
    [{ manifests: [known] }, IMAGE, /not what its media type says/],
    [{ blobs: [known] }, IMAGE, /not what its media type says/],
    [{ schemaVersion: 2 }, IMAGE, /not what its media type says/],
    [{ fsLayers: [] }, 'application/vnd.docker.distribution.manifest.v1+prettyjws', /media type/],
    [{ config: known, layers: [known] }, INDEX, /type of an index/],
    [{ manifests: Array(10_001).fill(known) }, INDEX, /more than 10000/],
  ] as const) {
    const why = whyUnknown(readManifest(Buffer.from(JSON.stringify(manifest))), type)
    const text = JSON.stringify(manifest).slice(0, 60)
    if (said) t.match(why, said, text)
    else t.equal(why, undefined, text)
  }
})
