import fc from 'fast-check'
import t from 'tap'
import { parseReference, parseRepository, parseTag, referenceText } from '../../src/oci/reference.js'

/** As the distribution-spec has them. */
const SPEC_NAME = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/
const SPEC_TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/
const DIGEST = `sha256:${'0'.repeat(64)}`

t.test('a repository name is what the spec allows, up to 255 characters', t => {
  const accepted = [
    'a',
    '0',
    'a/b/c',
    'a.b',
    'a_b',
    'a__b',
    'a-b',
    'a---b',
    'library/alpine',
    'manifests',
    'tags/list',
    'blobs/uploads',
  ]
  for (const name of [...accepted, 'v2', 'a'.repeat(255), `${'a/'.repeat(127)}a`])
    t.equal(parseRepository(name), name)
  const refused = [
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    '.',
    '..',
    'a/..',
    '../a',
    'a/./b',
    'A',
    'a/B',
    'a..b',
    'a.-b',
    'a___b',
    '_a',
    'a_',
    '-a',
    'a-',
  ]
  refused.push(
    'a b',
    'a%2fb',
    'a\\b',
    'a\0',
    'a\n',
    'ä',
    'а',
    'a:b',
    'a@b',
    'a?b',
    'a#b',
    '_catalog',
    'host:5000/a',
    'a'.repeat(256),
  )
  for (const name of refused) t.equal(parseRepository(name), undefined, JSON.stringify(name))
  t.end()
})

t.test('a tag is what the spec allows', t => {
  for (const tag of ['latest', '_', 'V1.0-rc_1', '0', 'x'.repeat(128), 'a..b', 'a-'])
    t.equal(parseTag(tag), tag)
  for (const tag of ['', '.', '..', '.a', '-a', 'a/b', 'a:b', 'a b', 'a%20', 'a\n', 'ü', 'x'.repeat(129)]) {
    t.equal(parseTag(tag), undefined, JSON.stringify(tag))
  }
  t.end()
})

t.test('a reference is a digest or a tag, and is written as it was read', t => {
  t.same(parseReference('latest'), { tag: 'latest' })
  t.same(parseReference(DIGEST), { digest: DIGEST })
  for (const text of ['', 'sha256:', 'sha256:abc', `${DIGEST}0`, 'a:b', ':', `@${DIGEST}`])
    t.equal(parseReference(text), undefined, text)
  for (const text of ['latest', DIGEST]) t.equal(referenceText(parseReference(text)!), text)
  t.end()
})

t.test('names and tags are taken exactly when they fit the grammar of the spec', t => {
  const piece = fc.constantFrom(
    'a',
    'z9',
    '.',
    '_',
    '__',
    '-',
    '--',
    '/',
    'A',
    '%',
    '\\',
    ' ',
    '..',
    'ü',
    '\0',
    ':',
  )
  const text = fc.oneof(
    fc.array(piece, { maxLength: 9 }).map(pieces => pieces.join('')),
    fc.string({ unit: 'binary' }),
  )
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        text,
        text =>
          (parseRepository(text) === text) === SPEC_NAME.test(text) &&
          (parseTag(text) === text) === SPEC_TAG.test(text),
      ),
      { numRuns: 10_000 },
    ),
  )
  t.end()
})

t.test('every name of the grammar is taken', t => {
  const name = fc.stringMatching(SPEC_NAME, { maxLength: 60 }).filter(name => name.length <= 255)
  t.doesNotThrow(() => fc.assert(fc.property(name, name => parseRepository(name) === name)))
  t.doesNotThrow(() => fc.assert(fc.property(fc.stringMatching(SPEC_TAG), tag => parseTag(tag) === tag)))
  t.end()
})
