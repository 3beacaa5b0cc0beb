import fc from 'fast-check'
import t from 'tap'
import { attacks, countOf } from './support/attacks.js'
import { judge, NUMBER } from './support/canonical.js'
import { mutantsOf } from './support/mutants.js'
import { HEAD, hostileMirror } from './support/valid-requests.js'

t.setTimeout(7_200_000)

/** So many requests of which none ends the connection go out on one. */
const TOGETHER = 10

const DIGEST = `sha256:${'a'.repeat(64)}`
const TAG = `${NUMBER}a`

const HIDDEN = [
  '..',
  '.',
  '...',
  '',
  ' ',
  '~',
  '%2e',
  '%2E%2e',
  '.%2e',
  '%2f',
  '%5c',
  '\\',
  '..\\',
  '%00',
  '\x00',
  '%',
  '%zz',
  '%u002e',
]
const STRANGE = [
  ';x=y',
  '..;',
  '#',
  '?',
  '&',
  '@',
  ':',
  '%0d%0aX:y',
  '%c0%ae',
  '%e2%80%ae',
  '\xc0\xae',
  '\xe2\x80\xae',
  '\xff',
  '\x7f',
  '\t',
]
const UPPER = [
  'TEAM',
  'Team',
  '_team',
  'team_',
  'te..am',
  'te.-am',
  'te___am',
  '-',
  '.team',
  'team.',
  '__proto__',
  'constructor',
]
const NAMES = [
  'team',
  'app',
  'manifests',
  'blobs',
  'tags',
  'list',
  'uploads',
  'referrers',
  '_catalog',
  'v2',
  TAG,
  DIGEST,
]
const LONG = [
  'x'.repeat(128),
  'x'.repeat(256),
  'x'.repeat(10_000),
  'a/'.repeat(127).slice(0, -1),
  'a/'.repeat(5_000),
]
const SEGMENTS = [...HIDDEN, ...STRANGE, ...UPPER, ...NAMES, ...LONG]

const ENDS = [
  `/manifests/${TAG}`,
  `/manifests/${DIGEST}`,
  `/blobs/${DIGEST}`,
  `/referrers/${DIGEST}`,
  '/tags/list',
  '/blobs/uploads/',
]

const WRITTEN = [
  ...SEGMENTS.map(segment => `/v2/team/${segment}/app/manifests/${TAG}`),
  ...SEGMENTS.map(segment => `/v2/${segment}/tags/list`),
  ...SEGMENTS.map(segment => `/v2/team/app/manifests/${segment}`),
  ...HIDDEN.map(segment => `/${segment}/v2/team/app/manifests/${TAG}`),
  ...HIDDEN.map(segment => `/v2/${segment}/${segment}/etc/passwd`),
  ...HIDDEN.map(segment => `/v2${segment}/team/app/tags/list`),
  ...ENDS.map(end => `/v2/team/app${end}/`),
  ...ENDS.map(end => `/v2/team/app${end}/..`),
  ...ENDS.map(end => `/v2/team/app${end.toUpperCase()}`),
  ...ENDS.map(end => `/V2/team/app${end}`),
  ...ENDS.map(end => `//v2/team/app${end}`),
  ...ENDS.map(end => `/v2/team%2fapp${end}`),
  ...ENDS.map(end => `/v2/team/app${end}#${end}`),
  ...ENDS.map(end => `/v2/team/app${end}${end}`),
  `/v2/manifests/manifests/${TAG}`,
  `/v2/tags/list/tags/list`,
  `/v2/blobs/uploads/blobs/uploads/`,
]

/** Paths put together from whatever may be between two slashes. */
const BUILT = fc
  .tuple(
    fc.constantFrom('/v2/', '/v2/', '/v2/', '/', '//v2/', '/v2', '/v1/', '\\v2\\'),
    fc.array(fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...NAMES) }, fc.constantFrom(...SEGMENTS)), {
      maxLength: 5,
    }),
    fc.constantFrom('/', '/', '/', '//', '\\', '%2f'),
    fc.oneof(fc.constantFrom(...ENDS), fc.constant('')),
  )
  .map(([root, segments, separator, end]) => root + segments.join(separator) + end)

const MUTATED = mutantsOf(ENDS.map(end => `/v2/team/app${end}`))

const TEXT = fc
  .array(
    fc.integer({ min: 0, max: 255 }).map(code => String.fromCharCode(code)),
    { maxLength: 20 },
  )
  .map(characters => `/v2/${characters.join('')}/tags/list`)

/** Requests for the paths: alone for one that may end the connection, otherwise several behind one another. */
function* requestsFor(paths: Iterable<string>, told: { paths: number }): Generator<string> {
  let waiting: string[] = []
  for (const path of paths) {
    told.paths++
    const method = path.endsWith('/blobs/uploads/') ? 'POST' : 'GET'
    const request = `${method} ${path} HTTP/1.1\r\n${HEAD}\r\n`
    if (!/^\/[\x21-\x7e]{0,8000}$/.test(path)) {
      yield request
      continue
    }
    // Each with a tag of its own.
    waiting.push(request.replaceAll(TAG, `${TAG}${waiting.length}`))
    if (waiting.length < TOGETHER) continue
    yield waiting.join('')
    waiting = []
  }
  if (waiting.length > 0) yield waiting.join('')
}

t.test('a path reaches the far side as it is built from its parts, or not at all', async t => {
  const told = { paths: 0 }
  const paths = attacks('H4', WRITTEN, fc.oneof(BUILT, MUTATED, TEXT))
  const tally = await judge(await hostileMirror(t), requestsFor(paths, told))
  t.ok(told.paths >= countOf('H4'))
  t.ok(tally.answers > 0.5 * told.paths, 'each that is a path by its characters was answered')
  t.ok(tally.upstream > 0, 'and those that mean something were carried out')
})
