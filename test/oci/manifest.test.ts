import t from 'tap'
import { digestOf } from '../../src/oci/digest.js'
import { digestsVouchedFor } from '../../src/oci/manifest.js'

const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map(text => digestOf(Buffer.from(text)))
const of = (manifest: unknown): string[] => digestsVouchedFor(Buffer.from(JSON.stringify(manifest)))
const layer = 'application/vnd.oci.image.layer.v1.tar+gzip'

t.test('a registry vouches for config, layers and manifests', async t => {
  t.same(of({ config: { digest: a }, layers: [{ digest: b, mediaType: layer }, { digest: c }] }), [a, b, c])
  t.same(of({ manifests: [{ digest: a }, { digest: b }] }), [a, b])
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
  t.same(digestsVouchedFor(Buffer.from('{')), [])
  t.same(digestsVouchedFor(Buffer.from([0xff, 0xfe])), [])
})
