import fc from 'fast-check'
import t from 'tap'
import { isDeeperThan } from '../../src/oci/json-depth.js'
import { parseManifest } from '../../src/oci/manifest.js'

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

t.test('the depth is the one that parsing finds, whatever stands in texts', async t => {
  let deep = 0
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), fc.integer({ min: 0, max: 6 }), (json, depth) => {
      const isDeep = depthOf(JSON.parse(json)) > depth
      if (isDeep) deep++
      return isDeeperThan(Buffer.from(json), depth) === isDeep
    }),
    { numRuns: 1000, seed: 1 },
  )
  t.ok(deep > 100 && deep < 900)
  for (const text of ['"[[["', '"\\"[[["', '["\\\\",[]]', '["é[[["]']) {
    t.notOk(isDeeperThan(Buffer.from(text), 2), text)
  }
})

t.test('a manifest of brackets only is none, and not parsed', async t => {
  const bottomless = Buffer.concat([Buffer.from('{"layers":'), Buffer.alloc(4_000_000, '[')])
  t.equal(parseManifest(bottomless), undefined)
  const nested = (levels: number): Buffer => Buffer.from(`{"x":${'['.repeat(levels)}${']'.repeat(levels)}}`)
  t.ok(parseManifest(nested(63)))
  t.equal(parseManifest(nested(64)), undefined)
})
