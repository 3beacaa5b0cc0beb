import t from 'tap'
import { isManifestType } from '../../src/oci/media-type.js'

t.test('what a manifest can be called, and what it cannot', async t => {
  for (const type of [
    'application/vnd.oci.image.manifest.v1+json',
    'application/vnd.oci.image.index.v1+json',
    'application/vnd.oci.artifact.manifest.v1+json',
    'application/vnd.docker.distribution.manifest.v2+json',
    'application/vnd.docker.distribution.manifest.list.v2+json',
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
    'application/vnd.docker.distribution.manifest.v1+json; charset=utf-8',
    'application/vnd.example.thing.v1+json',
    'application/json',
  ])
    t.equal(isManifestType(type), true, type)
  for (const type of [
    'text/html',
    'TEXT/HTML; charset=utf-8',
    'image/svg+xml',
    'application/xhtml+xml',
    'application/xml',
    'application/javascript',
    'text/javascript',
    'application/json,text/html',
    'application/json\r\nx: y',
    'text/html;application/json',
    'application/pdf',
    '',
  ])
    t.equal(isManifestType(type), false, type)
})
