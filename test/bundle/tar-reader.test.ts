import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { readTar } from '../../src/bundle/tar-reader.js'
import { entryBytes, inPieces, tarOf, type MadeEntry } from './support/tar.js'

interface Read {
  readonly path: string
  readonly kind: string
  readonly size: number
  readonly text: string
}

async function entries(source: AsyncIterable<Uint8Array>): Promise<Read[]> {
  const found: Read[] = []
  for await (const { path, kind, size, body } of readTar(source)) {
    found.push({ path, kind, size, text: await text(Readable.from(body)) })
  }
  return found
}

const FILES: readonly MadeEntry[] = [
  { path: 'empty' },
  { path: 'block', bytes: 'b'.repeat(512) },
  { path: 'more', bytes: 'm'.repeat(70_001) },
  { path: `${'long/'.repeat(60)}name`, bytes: 'by pax', pax: true },
  { path: 'folder/', type: 'Directory' },
  { path: 'last', bytes: 'l' },
]

t.test('an archive is read alike in whatever pieces it comes, gzipped or not', async t => {
  const archive = tarOf(...FILES)
  const expected = FILES.map(({ path, bytes = '', type }) => ({
    path,
    kind: type ? 'directory' : 'file',
    size: bytes.length,
    text: String(bytes),
  }))
  for (const length of [1, 511, 512, 513, 4096, archive.length]) {
    t.same(await entries(inPieces(archive, length)), expected, `in pieces of ${length}`)
    t.same(await entries(inPieces(gzipSync(archive), length)), expected, `gzipped, in pieces of ${length}`)
  }
})

t.test('what is not read of an entry is passed over', async t => {
  const paths: string[] = []
  for await (const { path, body } of readTar(inPieces(tarOf(...FILES)))) {
    paths.push(path)
    await body[Symbol.asyncIterator]().next()
  }
  t.same(
    paths,
    FILES.map(({ path }) => path),
  )
})

t.test('links and devices are told apart from files', async t => {
  const archive = tarOf(
    { path: 'soft', type: 'SymbolicLink', linkpath: '/etc/passwd' },
    { path: 'hard', type: 'Link', linkpath: 'soft' },
    { path: 'device', type: 'CharacterDevice' },
    { path: 'pipe', type: 'FIFO' },
    { path: 'old', type: 'OldFile', bytes: 'x' },
  )
  t.same(
    (await entries(inPieces(archive))).map(({ kind }) => kind),
    ['other', 'other', 'other', 'other', 'file'],
  )
})

t.test('a name in a GNU entry of its own holds for the next entry alone', async t => {
  const long = `${'gnu/'.repeat(50)}name`
  const archive = Buffer.concat([
    entryBytes({ path: '././@LongLink', type: 'NextFileHasLongPath', bytes: `${long}\0` }),
    entryBytes({ path: 'short', bytes: '1' }),
    entryBytes({ path: 'other', bytes: '2' }),
    Buffer.alloc(1024),
  ])
  t.same(
    (await entries(inPieces(archive))).map(({ path }) => path),
    [long, 'other'],
  )
})

t.test('sizes beyond eight gibibytes are understood, and what is cut off is refused', async t => {
  const size = 9 * 2 ** 30
  for (const pax of [true, false]) {
    const seen: number[] = []
    const reading = async (): Promise<void> => {
      for await (const entry of readTar(inPieces(entryBytes({ path: 'large', size, pax })))) {
        seen.push(entry.size)
        await text(Readable.from(entry.body))
      }
    }
    await t.rejects(reading(), { name: 'BundleRefused', message: /cut off/ })
    t.same(seen, [size])
  }
  const archive = tarOf(...FILES)
  for (const length of [0, 1, 511, 512, 600, 40_000, archive.length - 1024])
    await t.rejects(entries(inPieces(archive.subarray(0, length))), /cut off/, `after ${length} bytes`)
  await t.rejects(entries(inPieces(gzipSync(archive).subarray(0, 200))), {
    name: 'BundleRefused',
    message: /gzip/,
  })
})

t.test('what is no archive is refused', async t => {
  await t.rejects(entries(inPieces(Buffer.alloc(5000, 'no archive at all'))), /no tar archive/)
  const damaged = tarOf(...FILES)
  damaged[3]! ^= 1
  await t.rejects(entries(inPieces(damaged)), /no tar archive/)
})

t.test('a header that goes on and on is refused before it is read', async t => {
  let taken = 0
  async function* endless(): AsyncGenerator<Buffer> {
    yield entryBytes({ path: 'x', type: 'ExtendedHeader', size: 2 ** 32 })
    for (;;) {
      taken++
      yield Buffer.alloc(65_536, 'a')
    }
  }
  await t.rejects(entries(endless()), /larger than/)
  t.ok(taken <= 1)
})

t.test('no more is taken from the source than is asked for', async t => {
  let given = 0
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const piece of inPieces(tarOf({ path: 'large', bytes: Buffer.alloc(1_000_000) }), 10_000)) {
      given += piece.length
      yield piece
    }
  }
  for await (const { body } of readTar(counted())) {
    await body[Symbol.asyncIterator]().next()
    t.ok(given <= 30_000, `${given} bytes at the first`)
    break
  }
})

t.test('an error of the source comes through, gzipped or not', async t => {
  async function* failing(bytes: Buffer): AsyncGenerator<Buffer> {
    yield bytes.subarray(0, 700)
    throw new Error('the line is dead')
  }
  const archive = tarOf(...FILES)
  await t.rejects(entries(failing(archive)), /the line is dead/)
  await t.rejects(entries(failing(gzipSync(Buffer.concat([archive, archive])))), /the line is dead/)
})
