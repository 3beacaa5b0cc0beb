import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { writeBundle } from '../../src/bundle/write-bundle.js'
import { fileHeader } from '../../src/bundle/tar-writer.js'
import { readTar } from '../../src/bundle/tar-reader.js'
import { digestOf, type Digest } from '../../src/oci/digest.js'
import { inPieces } from './support/tar.js'

const contents = ['one', 'two', ''].map(text => Buffer.from(text))
const bytesOf = new Map([
  ...contents.map(bytes => [digestOf(bytes), bytes] as const),
  [digestOf(contents[0]!, 'sha512'), contents[0]!] as const,
])
const sizes = [...bytesOf].map(([digest, bytes]) => [digest, bytes.length] as const)
const [top = '' as Digest] = bytesOf.keys()
const images = [{ name: 'main/team/app:1', digest: top, mediaType: 'application/json', size: 3 }]

async function* stored(digest: Digest): AsyncGenerator<Buffer> {
  yield bytesOf.get(digest)!
}

async function written(blobs: ReadonlyMap<Digest, number>, open = stored): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of writeBundle({ images, blobs }, open)) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

t.test('a bundle is an OCI layout, the same in whatever order its parts come', async t => {
  const bundle = await written(new Map(sizes))
  t.ok(bundle.equals(await written(new Map(sizes.toReversed()))))
  const files = new Map<string, string>()
  for await (const { path, kind, body } of readTar(inPieces(bundle))) {
    const pieces: Uint8Array[] = []
    for await (const piece of body) pieces.push(piece)
    if (kind === 'file') files.set(path, Buffer.concat(pieces).toString())
  }
  t.same(JSON.parse(files.get('oci-layout')!), { imageLayoutVersion: '1.0.0' })
  t.match(JSON.parse(files.get('index.json')!), {
    manifests: [{ digest: top, annotations: { 'org.opencontainers.image.ref.name': 'main/team/app:1' } }],
  })
  for (const [digest, bytes] of bytesOf)
    t.equal(files.get(`blobs/${digest.replace(':', '/')}`), bytes.toString())
})

t.test('tar unpacks it', async t => {
  const directory = t.testdir()
  writeFileSync(join(directory, 'bundle.tar'), await written(new Map(sizes)))
  const listed = execFileSync('tar', ['--numeric-owner', '-tvf', join(directory, 'bundle.tar')], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, TZ: 'UTC' },
  })
  const lines = listed.trim().split('\n')
  t.equal(lines.length, 5 + bytesOf.size)
  t.ok(
    lines.every(line => /^[-d]rw.* 0\/0 .* 1970-01-01 /.test(line)),
    listed,
  )
})

t.test('a wrong byte, a byte too few and one too many end it, and name the digest', async t => {
  const [[digest]] = [...bytesOf] as [[Digest, Buffer]]
  for (const wrong of ['onE', 'on', 'ones', ''])
    await t.rejects(
      written(new Map(sizes), async function* (each) {
        if (each !== digest) yield bytesOf.get(each)!
        else for (const letter of wrong) yield Buffer.from(letter)
      }),
      { name: 'BundleRefused', message: new RegExp(digest) },
    )
})

t.test('a size beyond eight gibibytes is one that tar reads', t => {
  const file = join(t.testdir(), 'large.tar')
  writeFileSync(file, fileHeader('large', 9 * 2 ** 30))
  const { stdout } = (() => {
    try {
      return {
        stdout: execFileSync('tar', ['-tvf', file], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        }),
      }
    } catch (error) {
      // It is cut off after its header.
      return error as { stdout: string }
    }
  })()
  t.match(stdout, / 9663676416 .* large$/m)
  t.end()
})
