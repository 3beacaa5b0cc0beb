import t from 'tap'
import { ambiguityIn } from '../../src/oci/ambiguity.js'

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
    t.equal(ambiguityIn(Buffer.from(text), type), undefined, text.slice(0, 60))
  }
})

t.test('what is unclear is named', async t => {
  for (const [text, said, type] of [
    ['{"layers":[],"layers":[]}', /"layers" twice/],
    ['{"layers":[],"L\\u0061yers":[]}', /"layers" twice/],
    ['{"config":{"digest":"a","DIGEST":"b"}}', /"digest" twice/],
    ['{"manifests":[{"urls":[],"urls":[]}]}', /"urls" twice/],
    ['{"layers":[],"manifests":[]}', /more than one kind/],
    ['{"layers":[]}', /type of an index/, INDEX],
    ['{"mediaType":"' + INDEX + '","config":{}}', /type of an index/],
    ['[]', /not a JSON object/],
    ['{', /not a JSON object/],
    ['{"a":"\\', /not a JSON object/],
    ['['.repeat(65), /64 deep/],
  ] as const)
    t.match(ambiguityIn(Buffer.from(text), type), said, text.slice(0, 60))
  t.match(ambiguityIn(Buffer.from([0x7b, 0xff, 0x7d])), /UTF-8/)
})
