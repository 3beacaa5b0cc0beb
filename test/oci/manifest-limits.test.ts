import t from 'tap'
import { digestOf } from '../../src/oci/digest.js'
import { MAX_DESCRIPTORS, MAX_VALUES } from '../../src/oci/manifest-limits.js'
import { readManifest } from '../../src/oci/manifest.js'

t.test('a manifest of brackets only is none, and not parsed', async t => {
  const bottomless = Buffer.concat([Buffer.from('{"layers":'), Buffer.alloc(4_000_000, '[')])
  t.match(readManifest(bottomless), { content: undefined, problem: { kind: 'depth' } })
  const nested = (levels: number): Buffer => Buffer.from(`{"x":${'['.repeat(levels)}${']'.repeat(levels)}}`)
  t.ok(readManifest(nested(63)).content)
  t.match(readManifest(nested(64)), { content: undefined, problem: { kind: 'depth' } })
})

t.test('a manifest with more in it than is looked at is not understood, and not parsed', async t => {
  const { parse } = JSON
  t.teardown(() => void (JSON.parse = parse))
  let parsed = 0
  JSON.parse = (text: string) => {
    if (text.length > 1000) parsed++
    return parse(text) as unknown
  }
  const digest = digestOf(Buffer.from('child'))
  const index = (children: number): Buffer =>
    Buffer.from(JSON.stringify({ mediaType: 'a/b', manifests: Array(children).fill({ digest }) }))
  t.equal(readManifest(index(MAX_DESCRIPTORS)).content?.manifests.length, MAX_DESCRIPTORS)
  t.equal(parsed, 1)
  t.match(readManifest(index(MAX_DESCRIPTORS + 1)), {
    content: undefined,
    kind: 'index',
    mediaType: 'a/b',
    problem: { kind: 'too large' },
  })
  const keys = (count: number): Buffer =>
    Buffer.from(`{${Array.from({ length: count }, (_, index) => `"k${index}":0`).join(',')}}`)
  t.ok(readManifest(keys(MAX_VALUES)).content)
  t.match(readManifest(keys(MAX_VALUES + 1)), { content: undefined, problem: { kind: 'too large' } })
  t.match(readManifest(Buffer.from(`{"a":[${'1,'.repeat(MAX_VALUES)}1]}`)).problem, { kind: 'too large' })
  t.equal(parsed, 2)
})
