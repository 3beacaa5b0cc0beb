import t from 'tap'
import { blobsVouchedFor } from '../../src/oci/ambiguity.js'
import { digestOf } from '../../src/oci/digest.js'
import { blobsOf, platformText, readManifest } from '../../src/oci/manifest.js'

const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map(text => digestOf(Buffer.from(text)))
const of = (manifest: unknown): string[] =>
  blobsVouchedFor(readManifest(Buffer.from(JSON.stringify(manifest))))
const layer = 'application/vnd.oci.image.layer.v1.tar+gzip'

t.test('a registry vouches for config and layers, each once', async t => {
  t.same(of({ config: { digest: a }, layers: [{ digest: b, mediaType: layer }, { digest: c }] }), [a, b, c])
  t.same(of({ config: { digest: a }, layers: [{ digest: a }, { digest: b }, { digest: b }] }), [a, b])
  t.same(of({ manifests: [{ digest: a }, { digest: b }] }), [], 'manifests are no blobs')
  t.same(of({ blobs: [{ digest: a }] }), [], "an artifact's blobs are taken unchecked")
})

t.test('an index is read with its platforms', async t => {
  const index = {
    mediaType: 'application/vnd.oci.image.index.v1+json',
    subject: { digest: e },
    manifests: [
      {
        digest: a,
        size: 7,
        mediaType: 'x/y',
        platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
      },
      { digest: b, size: -1, platform: { os: 'linux', architecture: 'amd64', variant: '' } },
      { digest: c, size: 1.5, platform: { os: 'linux' } },
      { digest: 'sha256:x' },
    ],
  }
  const bytes = Buffer.from(JSON.stringify(index))
  const { content, mediaType } = readManifest(bytes)
  t.equal(mediaType, index.mediaType)
  t.equal(readManifest(Buffer.from('[]')).mediaType, undefined)
  t.equal(content?.subject?.digest, e)
  t.same(
    content?.manifests.map(({ digest, size, platform }) => [
      digest,
      size,
      platform && platformText(platform),
    ]),
    [
      [a, 7, 'linux/arm64/v8'],
      [b, undefined, 'linux/amd64'],
      [c, undefined, undefined],
    ],
  )
})

t.test('not for a subject, nor for layers from elsewhere', async t => {
  t.same(
    of({
      subject: { digest: a },
      layers: [
        { digest: b, mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' },
        { digest: c, mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip' },
        { digest: d, mediaType: layer, urls: ['https://example.com/layer'] },
        { digest: e, mediaType: layer, urls: [] },
      ],
    }),
    [e],
  )
})

t.test('what is no manifest vouches for nothing', async t => {
  for (const odd of [
    null,
    [],
    'x',
    1,
    { config: null, layers: 'x', manifests: {} },
    { config: { digest: 'sha256:x' } },
    { layers: [null, { digest: 1 }] },
  ]) {
    t.same(of(odd), [], JSON.stringify(odd))
  }
  t.same(blobsVouchedFor(readManifest(Buffer.from('{'))), [])
  t.same(blobsVouchedFor(readManifest(Buffer.from([0xff, 0xfe]))), [])
})

t.test('a pull asks for config, layers and blobs, wherever else they may be, each once', async t => {
  const blobs = (manifest: unknown): unknown[] =>
    blobsOf(readManifest(Buffer.from(JSON.stringify(manifest))).content).map(({ digest, elsewhere }) => [
      digest,
      elsewhere,
    ])
  const foreign = { digest: b, urls: ['https://example.com/layer'] }
  t.same(blobs({ config: { digest: a }, layers: [foreign, { digest: c }] }), [
    [a, false],
    [b, true],
    [c, false],
  ])
  t.same(blobs({ layers: [foreign, { digest: b }, foreign] }), [[b, false]])
  t.same(blobs({ blobs: [{ digest: d }, { digest: d }] }), [[d, false]])
})
