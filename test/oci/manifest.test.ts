import t from 'tap'
import { digestOf } from '../../src/oci/digest.js'
import { blobsVouchedFor, mediaTypeIn, parseManifest, platformText } from '../../src/oci/manifest.js'

const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map(text => digestOf(Buffer.from(text)))
const of = (manifest: unknown): string[] => blobsVouchedFor(Buffer.from(JSON.stringify(manifest)))
const layer = 'application/vnd.oci.image.layer.v1.tar+gzip'

t.test('a registry vouches for config and layers, each once', async t => {
  t.same(of({ config: { digest: a }, layers: [{ digest: b, mediaType: layer }, { digest: c }] }), [a, b, c])
  t.same(of({ config: { digest: a }, layers: [{ digest: a }, { digest: b }, { digest: b }] }), [a, b])
  t.same(of({ manifests: [{ digest: a }, { digest: b }] }), [], 'manifests are no blobs')
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
  t.equal(mediaTypeIn(bytes), index.mediaType)
  t.equal(mediaTypeIn(Buffer.from('[]')), undefined)
  const content = parseManifest(bytes)
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
  t.same(blobsVouchedFor(Buffer.from('{')), [])
  t.same(blobsVouchedFor(Buffer.from([0xff, 0xfe])), [])
})
