import fc from 'fast-check'
import t from 'tap'
import { outlineOf } from '../../src/oci/json-outline.js'

const outline = (text: string, maxDepth = 64) => outlineOf(Buffer.from(text), maxDepth)

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

function valuesIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return Object.values(value).reduce<number>((sum, each) => sum + 1 + valuesIn(each), 0)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

t.test('JSON is what JSON.parse takes, however it is broken', async t => {
  const pieces = fc.constantFrom(
    ...['{', '}', '[', ']', ',', ':', '"', '\\', ' ', '0', '-', '1', '.', 'e', '+', 'E5', 'true', 'null'],
    ...[
      'nul',
      '"a"',
      '"a":',
      '\\u00e9',
      '\\ud83d',
      '\\x',
      '\n',
      '\u0001',
      '\ufeff',
      'é',
      '𝕩',
      '\u00a0',
      'false',
    ],
  )
  const broken = fc
    .tuple(fc.json(), fc.array(fc.tuple(fc.nat(), pieces), { maxLength: 3 }))
    .map(([json, mutations]) =>
      mutations.reduce((text, [seed, piece]) => {
        const at = seed % (text.length + 1)
        return text.slice(0, at) + piece + text.slice(at + (seed % 3))
      }, json),
    )
  let right = 0
  fc.assert(
    fc.property(
      fc.oneof(
        broken,
        fc.array(pieces, { maxLength: 8 }).map(each => each.join('')),
      ),
      text => {
        // Half of a pair is another sign once it is UTF-8.
        const written = Buffer.from(text).toString()
        if (isJson(written)) right++
        return (outline(written, 1000).fault === undefined) === isJson(written)
      },
    ),
    { numRuns: 20_000, seed: 1 },
  )
  t.ok(right > 1_000 && right < 19_000)
})

t.test('what is counted is what parsing finds, and no more is looked at than the depth allows', async t => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), fc.integer({ min: 0, max: 6 }), (json, depth) => {
      const parsed: unknown = JSON.parse(json)
      const isDeep = depthOf(parsed) > depth
      const found = outline(json, depth)
      return isDeep
        ? found.fault === 'depth'
        : found.fault === undefined &&
            // A name that stands twice is one for the parser.
            found.values >= valuesIn(parsed)
    }),
    { numRuns: 1000, seed: 1 },
  )
  t.match(outline('{"a":[1,{"b":2},"[[",3],"c":{}}'), { isObject: true, keys: 3, values: 7 })
  t.match(outline('[]'), { isObject: false, fault: undefined })
  t.match(outline('{"manifests":[{},{},1],"layers":[{"x":[{}]}],"blobs":[{}],"x":[{}]}'), { descriptors: 4 })
})

t.test('every spelling that case folding makes the same is found', async t => {
  const folded = (text: string): string => text.toUpperCase().toLowerCase()
  const letters = new Map<string, string[]>()
  for (let code = 0; code < 0x10000; code++) {
    const letter = String.fromCharCode(code)
    const other = folded(letter)
    if (/^[a-z]+$/.test(other)) letters.set(other, [...(letters.get(other) ?? []), letter])
  }
  const names = ['mediaType', 'config', 'layers', 'manifests', 'blobs', 'subject', 'fsLayers']
  let tried = 0
  for (const name of names) {
    for (const [sequence, spellings] of letters) {
      const at = name.toLowerCase().indexOf(sequence)
      if (at < 0) continue
      for (const spelling of spellings) {
        const other = name.slice(0, at) + spelling + name.slice(at + sequence.length)
        const escaped = Array.from(
          other,
          letter => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
        ).join('')
        const expected = other === name ? undefined : name
        for (const written of [other, escaped, escaped.toUpperCase().replaceAll('\\U', '\\u')]) {
          tried++
          t.equal(outline(`{"${written}":1}`).twofold, expected, written)
        }
        t.equal(outline(`{"${escaped}":1,"${name}":2}`).twofold, name)
      }
    }
    for (const other of [`${name}s`, name.slice(1), `${name}\\n`, `${name}é`, ` ${name}`, `${name}𝕩`, 'x'])
      t.equal(outline(`{"${other}":1,"${other}":2}`).twofold, undefined, other)
  }
  t.ok(tried > 200)
})

t.test('only names that say what a manifest contains count, where they say it', async t => {
  for (const [json, twofold] of [
    ['{"config":{"digest":1,"Digest":2}}', 'digest'],
    ['{"subject":{"URLS":1}}', 'urls'],
    ['{"blobs":[{"digest":1},{"digest":1,"digest":2}]}', 'digest'],
    ['{"layers":[{"digest":1},{"digest":1}]}', undefined],
    ['{"layers":{"a":{"Digest":1}},"x":[{"Digest":1}],"config":[{"Digest":1}]}', undefined],
    ['{"x":{"layers":1,"Layers":2},"annotations":{"digest":1,"Digest":1}}', undefined],
    ['{"layers":[[{"Digest":1}],{"a":{"Digest":1}}]}', undefined],
    ['[{"layers":1,"Layers":2}]', undefined],
  ] as const)
    t.equal(outline(json).twofold, twofold, json)
  const json = '{"x":{"mediaType":"no"},"mediaType" : "a\\"b" }'
  const { mediaType } = outline(json)
  t.equal(json.slice(mediaType?.start, mediaType?.end), '"a\\"b"')
  t.equal(outline('{"mediaType":1}').mediaType, undefined)
})
