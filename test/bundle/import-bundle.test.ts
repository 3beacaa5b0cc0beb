import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { importBundle, type ImportResult } from '../../src/bundle/import-bundle.js'
import type { Renaming } from '../../src/bundle/restored-name.js'
import { importedScope } from '../../src/named-scope.js'
import type { Digest } from '../../src/oci/digest.js'
import { createJournal } from '../../src/store/journal.js'
import { ManifestReadings } from '../../src/store/manifest-readings.js'
import { createManifestStore } from '../../src/store/manifest-store.js'
import { openMembership, type Membership } from '../../src/store/membership.js'
import { openTagCache, type TagCache } from '../../src/store/tag-cache.js'
import { createUpstreamTable } from '../../src/upstream/upstream-table.js'
import { MemoryStore } from '../store/support/memory-store.js'
import {
  blobEntries,
  blobEntry,
  imageOf,
  indexEntry,
  inPieces,
  MARKER_ENTRY,
  sha256,
  tarOf,
  type MadeEntry,
} from './support/tar.js'

const NO_RENAMING: Renaming = { names: new Map(), upstream: undefined }
const INDEX = 'application/vnd.oci.image.index.v1+json'

interface Stand {
  readonly store: MemoryStore
  readonly membership: Membership
  readonly tags: TagCache
  readonly take: (entries: readonly MadeEntry[], renaming?: Renaming) => Promise<ImportResult>
  readonly takeBytes: (
    bytes: AsyncIterable<Uint8Array>,
    renaming?: Renaming,
    signal?: AbortSignal,
  ) => Promise<ImportResult>
  /** What the tag stands for, if anything is known of it. */
  readonly tag: (repository: string, tag: string, registry?: string) => Digest | undefined
}

async function stand(t: Test): Promise<Stand> {
  const store = new MemoryStore()
  const directory = t.testdir()
  const journal = (name: string) =>
    createJournal({
      file: `${directory}/${name}`,
      onTrouble: error => {
        throw error
      },
    })
  const validity = { ttl: 1000, staleFor: 1000 }
  const membership = await openMembership({ journal: journal('membership'), ...validity })
  const tags = await openTagCache({ journal: journal('tags'), ...validity })
  t.teardown(() => Promise.all([membership.close(), tags.close()]))
  const manifests = createManifestStore({
    store,
    maxManifest: 4 * 1024 * 1024,
    onTrouble: () => undefined,
    onMismatch: () => undefined,
  })
  const table = createUpstreamTable([
    { name: 'main', settings: { host: 'one.example', default: true } },
    { name: 'hub', settings: { host: 'two.example', repositoryPrefix: 'docker-hub' } },
  ])
  const takeBytes: Stand['takeBytes'] = (bytes, renaming = NO_RENAMING, signal) =>
    importBundle(
      bytes,
      renaming,
      {
        store,
        manifests,
        readings: new ManifestReadings(),
        membership,
        tags,
        scopeOf: ({ name }) => importedScope(table, name),
      },
      signal,
    )
  return {
    store,
    membership,
    tags,
    takeBytes,
    take: (entries, renaming) => takeBytes(inPieces(tarOf(...entries)), renaming),
    tag: (repository, tag, registry = 'one.example') =>
      tags.lastKnown({ scope: { registry, repository }, tag }, undefined)?.digest,
  }
}

const app = imageOf('app')
const other = imageOf('other')
const NAME = 'main/team/app:1'
const layout = (name = NAME): MadeEntry[] => [MARKER_ENTRY, indexEntry({ ...app, name }), ...blobEntries(app)]

t.test('the images of a layout are known, in whatever order its files come', async t => {
  for (const order of [layout(), layout().toReversed()]) {
    const { take, tag, store, membership } = await stand(t)
    const result = await take(order)
    t.match(result, {
      images: [{ name: NAME, digest: app.digest, leftOut: [] }],
      refused: [],
      stored: { files: 4 },
      present: { files: 0 },
    })
    t.equal(tag('team/app', '1'), app.digest)
    const scope = { registry: 'one.example', repository: 'team/app' }
    for (const bytes of app.blobs) t.equal(membership.proof(scope, sha256(bytes) as Digest), 'fresh')
    t.match(membership.manifest(scope, app.digest as Digest), { mediaType: app.mediaType, proof: 'fresh' })
    t.equal(membership.proof({ ...scope, repository: 'team/b' }, sha256(app.blobs[0]!) as Digest), 'none')
    t.match(store, { held: 0, ingests: 0 })
  }
})

t.test(
  'gzipped, with ./ before its names, or with files of other formats beside, it is the same',
  async t => {
    const { take, takeBytes, tag } = await stand(t)
    await takeBytes(inPieces(gzipSync(tarOf(...layout()))))
    t.equal(tag('team/app', '1'), app.digest)
    const dotted = [
      { path: './', type: 'Directory' as const },
      ...layout('main/team/dotted:1').map(entry => ({ ...entry, path: `./${entry.path}` })),
      { path: 'manifest.json', bytes: '[]' },
      { path: 'repositories', type: 'SymbolicLink' as const, linkpath: '/etc' },
    ]
    t.equal((await take(dotted)).images.length, 1)
  },
)

t.test('an upstream with a prefix gets its repositories under it', async t => {
  const { take, tag } = await stand(t)
  await take([MARKER_ENTRY, indexEntry({ ...app, name: 'hub/library/app:1' }), ...blobEntries(app)])
  t.equal(tag('docker-hub/library/app', '1', 'two.example'), app.digest)
})

t.test('what is stored already is not stored again, and is looked at all the same', async t => {
  const { take, store, tag } = await stand(t)
  await take(layout())
  let writes = 0
  store.onWrite = () => {
    writes++
  }
  const again = await take(layout())
  t.match(again, { stored: { files: 0, bytes: 0 }, present: { files: 4 } })
  t.equal(writes, 0)
  const secret = app.blobs[1]!
  const claimed = [
    MARKER_ENTRY,
    indexEntry({ ...app, name: 'main/team/thief:1' }),
    ...blobEntries(app).filter(({ bytes }) => bytes !== secret),
    blobEntry(Buffer.alloc(secret.length), sha256(secret)),
  ]
  await t.rejects(take(claimed), /do not have that digest/, 'who has no more than its name gets nothing')
  const unsaid = claimed.slice(0, -1)
  t.match(await take(unsaid), { images: [], refused: [{ reason: /lacks sha256:/ }] })
  t.equal(tag('team/thief', '1'), undefined)
})

t.test('one wrong byte anywhere, and nothing of the bundle is known', async t => {
  for (const wrong of blobEntries(app)) {
    const { take, tag, store } = await stand(t)
    const bytes = Buffer.from(wrong.bytes!)
    bytes[1]! ^= 1
    const entries = [...layout().filter(({ path }) => path !== wrong.path), { ...wrong, bytes }]
    await t.rejects(take(entries), { name: 'BundleRefused', message: /do not have that digest/ })
    t.equal(tag('team/app', '1'), undefined)
    t.match(store, { held: 0, ingests: 0 })
    t.notOk(store.blobs.has(wrong.path.replace('blobs/', '').replace('/', ':') as Digest))
  }
})

t.test('an image that lacks a part is not taken, and others are', async t => {
  for (const [index, lacking] of blobEntries(app).entries()) {
    const { take, tag } = await stand(t)
    const result = await take([
      MARKER_ENTRY,
      indexEntry({ ...app, name: NAME }, { ...other, name: 'main/team/other:1' }),
      ...blobEntries(app).filter(each => each !== blobEntries(app)[index] && each.path !== lacking.path),
      ...blobEntries(other),
    ])
    const digest = lacking.path.replace('blobs/', '').replace('/', ':')
    t.match(result.refused, [{ name: NAME, reason: new RegExp(`lacks ${digest}`) }])
    t.match(result.images, [{ name: 'main/team/other:1' }])
    t.equal(tag('team/app', '1'), undefined)
    t.equal(tag('team/other', '1'), other.digest)
  }
})

function manyOf(...images: readonly { readonly image: typeof app; readonly architecture: string }[]) {
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: INDEX,
      manifests: images.map(({ image: { manifest, digest, mediaType }, architecture }) => ({
        mediaType,
        digest,
        size: manifest.length,
        platform: { os: architecture === 'unknown' ? 'unknown' : 'linux', architecture },
      })),
    }),
  )
  return { manifest, digest: sha256(manifest), mediaType: INDEX, name: NAME }
}

t.test('of an index there has to be a whole image, and what is left out is told', async t => {
  const index = manyOf({ image: app, architecture: 'amd64' }, { image: other, architecture: 'arm64' })
  const start = [MARKER_ENTRY, indexEntry(index), blobEntry(index.manifest)]
  const whole = await stand(t)
  t.match(await whole.take([...start, ...blobEntries(app), ...blobEntries(other)]), {
    images: [{ leftOut: [] }],
  })
  const scope = { registry: 'one.example', repository: 'team/app' }
  t.ok(whole.membership.manifest(scope, other.digest as Digest), 'its images are known by their digests')
  const sparse = await stand(t)
  t.match(await sparse.take([...start, ...blobEntries(app)]), { images: [{ leftOut: ['linux/arm64'] }] })
  t.equal(sparse.tag('team/app', '1'), index.digest)
  t.equal(sparse.membership.manifest(scope, other.digest as Digest), undefined)
  const half = await stand(t)
  t.match(await half.take([...start, ...blobEntries(app), ...blobEntries(other).slice(0, -1)]), {
    images: [],
    refused: [{ reason: /lacks/ }],
  })
  const none = await stand(t)
  t.match(await none.take(start), { images: [], refused: [{ reason: /lacks/ }] })
})

t.test('what is no image to run may be lacking', async t => {
  const index = manyOf({ image: app, architecture: 'amd64' }, { image: other, architecture: 'unknown' })
  const start = [MARKER_ENTRY, indexEntry(index), blobEntry(index.manifest), ...blobEntries(app)]
  const { take, membership } = await stand(t)
  t.match(await take(start), { images: [{ leftOut: [] }] })
  const scope = { registry: 'one.example', repository: 'team/app' }
  t.equal(membership.manifest(scope, other.digest as Digest), undefined)
  await take([...start, ...blobEntries(other)])
  t.ok(membership.manifest(scope, other.digest as Digest), 'and is taken where it is not')
})

t.test('a name from elsewhere has to be given one of this mirror', async t => {
  const { take, tag } = await stand(t)
  await t.rejects(take(layout('1')), /calls an image "1".*--name main\/team\/app/)
  await t.rejects(take([MARKER_ENTRY, indexEntry(app), ...blobEntries(app)]), /no name for sha256:.*--name/)
  await t.rejects(take(layout('else/team/app:1')), /called else, only main, hub;.*--as-upstream main/)
  await t.rejects(take(layout('docker.io/library/app:1')), /called docker.io, only main, hub/)
  await t.rejects(take(layout('Main/App')), /calls an image/)
  t.equal(tag('team/app', '1'), undefined)
  const renamed = (names: [string, string][], upstream?: string): Renaming => ({
    names: new Map(names),
    upstream,
  })
  await take(layout('1'), renamed([['', 'main/team/a:1']]))
  t.equal(tag('team/a', '1'), app.digest)
  await take(layout('1'), renamed([['1', 'main/team/b:1']]))
  t.equal(tag('team/b', '1'), app.digest)
  await take(layout('else/team/c:1'), renamed([], 'main'))
  t.equal(tag('team/c', '1'), app.digest)
  await take([MARKER_ENTRY, indexEntry(app), ...blobEntries(app)], renamed([[app.digest, 'main/team/d:1']]))
  t.equal(tag('team/d', '1'), app.digest)
})

t.test('by its digest an image has no tag, and has to have that digest', async t => {
  const { take, membership, tags } = await stand(t)
  await take(layout(`main/team/app@${app.digest}`))
  const scope = { registry: 'one.example', repository: 'team/app' }
  t.equal(membership.manifest(scope, app.digest as Digest)?.proof, 'fresh')
  t.same([...tags.list()], [])
  await t.rejects(take(layout(`main/team/app@${other.digest}`)), /has the digest/)
})

t.test('hostile archives leave nothing behind', async t => {
  const [blob] = blobEntries(app)
  const cases: [string, MadeEntry[], RegExp][] = [
    [
      'a link in place of a blob',
      [...layout(), { path: blob!.path, type: 'SymbolicLink', linkpath: '/etc/passwd' }],
      /no plain file/,
    ],
    [
      'a hard link in place of a blob',
      [{ path: blob!.path, type: 'Link', linkpath: 'x' }, ...layout()],
      /no plain file/,
    ],
    ['a device in place of the index', [{ path: 'index.json', type: 'BlockDevice' }], /no plain file/],
    [
      'a folder in place of the index',
      [{ path: 'index.json', type: 'Directory' }],
      /no plain file|no index\.json/,
    ],
    ['two indexes', [...layout(), indexEntry({ ...other, name: NAME })], /twice/],
    ['no index', [MARKER_ENTRY, ...blobEntries(app)], /no index\.json.*skopeo copy docker-archive/],
    ['no marker', layout().slice(1), /no oci-layout/],
    ['an unknown version', [{ path: 'oci-layout', bytes: '{"imageLayoutVersion":"2.0.0"}' }], /version/],
    [
      'an index that is none',
      [MARKER_ENTRY, { path: 'index.json', bytes: '{"manifests":{}}' }],
      /no image index/,
    ],
    ['an index that is no JSON', [MARKER_ENTRY, { path: 'index.json', bytes: '{' }], /no image index/],
    ['an empty index', [MARKER_ENTRY, { path: 'index.json', bytes: '{"manifests":[]}' }], /no image in it/],
    [
      'a large index',
      [MARKER_ENTRY, { path: 'index.json', bytes: Buffer.alloc(5 << 20) }],
      /larger than 4 MiB/,
    ],
    [
      'two images of one name',
      [
        MARKER_ENTRY,
        indexEntry({ ...app, name: NAME }, { ...other, name: NAME }),
        ...blobEntries(app),
        ...blobEntries(other),
      ],
      /two images in it are called/,
    ],
    ['a file that is cut off', [{ ...blob!, size: 1e6 }], /cut off/],
  ]
  for (const [what, entries, message] of cases) {
    const { take, tags, store } = await stand(t)
    await t.rejects(take(entries), { name: 'BundleRefused', message }, what)
    t.same([...tags.list()], [], `${what}: nothing is known`)
    t.match(store, { held: 0, ingests: 0 })
  }
  for (const path of [
    '../../etc/passwd',
    '/etc/passwd',
    'blobs/sha256/../../x',
    'blobs/sha256/0',
    `x/${blob!.path}`,
  ]) {
    const { take, store } = await stand(t)
    t.equal((await take([...layout(), { path, bytes: 'evil' }])).images.length, 1, path)
    t.equal(store.blobs.size, 4)
  }
})

t.test('a manifest that is too large, or means two things, is no image', async t => {
  const { take, tag } = await stand(t)
  const large = { ...app, manifest: Buffer.concat([app.manifest, Buffer.alloc(5 << 20, ' ')]) }
  t.match(await take([MARKER_ENTRY, indexEntry({ ...large, name: NAME }), ...blobEntries({ ...large })]), {
    images: [],
    refused: [{ reason: /larger than 4 MiB/ }],
  })
  const twofold = Buffer.from(app.manifest.toString().replace(/}$/, `,"manifests":[]}`))
  await t.rejects(
    take([
      MARKER_ENTRY,
      indexEntry({ ...app, manifest: twofold, name: NAME }),
      ...blobEntries({ ...app, manifest: twofold }),
    ]),
    /of more than one kind/,
  )
  t.equal(tag('team/app', '1'), undefined)
})

t.test('a source that fails, and a store that is full, leave nothing known', async t => {
  const bytes = tarOf(...layout())
  async function* failing(): AsyncGenerator<Buffer> {
    yield bytes.subarray(0, 4000)
    throw new Error('the line is dead')
  }
  const { takeBytes, take, store, tag } = await stand(t)
  await t.rejects(takeBytes(failing()), /the line is dead/)
  t.match(store, { held: 0, ingests: 0 })
  for (const operation of ['ingest', 'write', 'commit'] as const) {
    store.failing.add(operation)
    await t.rejects(take(layout()), { name: 'CacheTrouble' })
    store.failing.delete(operation)
    t.match(store, { held: 0, ingests: 0 })
  }
  t.equal(tag('team/app', '1'), undefined)
  t.equal((await take(layout())).images.length, 1)
})

t.test('an image of which something had to make room is not taken', async t => {
  const { take, store, tag } = await stand(t)
  const gone = sha256(app.blobs[0]!) as Digest
  store.beforeCommit = async () => void store.blobs.delete(gone)
  t.match(await take(layout()), { images: [], refused: [{ reason: /cache\.maxSize is too small/ }] })
  t.equal(tag('team/app', '1'), undefined)
})

/** Indexes of which each names the next so many times, down to an image. */
function nestedIndexes(
  levels: number,
  times: number,
): { readonly top: Buffer; readonly entries: MadeEntry[] } {
  const entries = blobEntries(app)
  let child = { digest: app.digest, mediaType: app.mediaType, size: app.manifest.length }
  let top = app.manifest
  for (let level = 0; level < levels; level++) {
    top = Buffer.from(JSON.stringify({ mediaType: INDEX, manifests: Array(times).fill(child) }))
    entries.push(blobEntry(top))
    child = { digest: sha256(top), mediaType: INDEX, size: top.length }
  }
  return { top, entries }
}

t.test('indexes that name one another a thousand times each are looked at once each', async t => {
  const { take, tag } = await stand(t)
  const { top, entries } = nestedIndexes(4, 1_000)
  const digest = sha256(top)
  const index = indexEntry({ manifest: top, mediaType: INDEX, name: NAME })
  const result = await take([MARKER_ENTRY, index, ...entries])
  t.equal(result.images.length, 1)
  t.equal(tag('team/app', '1'), digest)
})

t.test('an import ends when whoever asked for it has left', async t => {
  const left = new AbortController()
  const { top, entries } = nestedIndexes(2, 2)
  const index = indexEntry({ manifest: top, mediaType: INDEX, name: NAME })
  async function* leaving(): AsyncGenerator<Uint8Array> {
    yield* inPieces(tarOf(MARKER_ENTRY, index, ...entries))
    left.abort(new Error('left'))
  }
  const { takeBytes, tag, store } = await stand(t)
  await t.rejects(takeBytes(leaving(), NO_RENAMING, left.signal), /left/)
  t.equal(tag('team/app', '1'), undefined)
  t.equal(store.ingests, 0)
})

t.test(
  'of an image whose parts cannot be told, and of names beyond counting, nothing is imported',
  async t => {
    const { take, tag } = await stand(t)
    for (const [manifest, mediaType, reason] of [
      [
        '{"schemaVersion":2}',
        'application/vnd.example+json',
        /cannot be told what belongs to it: .* media type/,
      ],
      ['{"blobs":[]}', app.mediaType, /is not what its media type says/],
      [`{"manifests":[${Array(10_001).fill('{}').join(',')}]}`, INDEX, /names more than 10000 others/],
    ] as const) {
      const bytes = Buffer.from(manifest)
      const index = indexEntry({ manifest: bytes, mediaType, name: NAME })
      const { refused, images } = await take([MARKER_ENTRY, index, blobEntry(bytes)])
      t.same(images, [])
      t.match(refused, [{ name: NAME, reason }])
    }
    t.equal(tag('team/app', '1'), undefined)
    const images = Array.from(
      { length: 30_000 },
      () => `{"digest":"${app.digest}","size":1,"mediaType":"a/b"}`,
    )
    await t.rejects(
      take([MARKER_ENTRY, { path: 'index.json', bytes: `{"manifests":[${images.join(',')}]}` }]),
      /index\.json is no image index/,
    )
  },
)

t.test('a layer that may be elsewhere need not be in a bundle, which says so', async t => {
  const { take } = await stand(t)
  const [config = Buffer.alloc(0)] = app.blobs
  const layer = {
    mediaType: 'a/b',
    digest: sha256('elsewhere'),
    size: 9,
    urls: ['https://elsewhere.example/'],
  }
  const manifest = Buffer.from(
    JSON.stringify({ config: { digest: sha256(config), size: config.length }, layers: [layer] }),
  )
  const entry = indexEntry({ manifest, mediaType: app.mediaType, name: NAME })
  const files = [MARKER_ENTRY, entry, blobEntry(manifest), blobEntry(config)]
  t.match(await take(files), { images: [{ leftOut: [layer.digest] }] })
  t.match(await take([...files, blobEntry('elsewhere')]), { images: [{ leftOut: [] }] })
})
