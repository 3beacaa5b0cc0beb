import t from 'tap'
import { digestOf } from '../../src/oci/digest.js'
import { createManifestStore, type ManifestStore } from '../../src/store/manifest-store.js'
import { putAll } from './support/blobs.js'
import { MemoryStore } from './support/memory-store.js'

interface Opened {
  readonly store: MemoryStore
  readonly manifests: ManifestStore
  readonly told: string[]
}

function start(store = new MemoryStore()): Opened {
  const told: string[] = []
  const manifests = createManifestStore({
    store,
    maxManifest: 1000,
    maxMemory: 2000,
    onTrouble: (_digest, error) => told.push(error.code),
    onMismatch: digest => told.push(`mismatch ${digest}`),
  })
  return { store, manifests, told }
}

const manifest = (text: string) => {
  const bytes = Buffer.from(text)
  return { bytes, digest: digestOf(bytes) }
}

t.test('what is kept is read at once, and from the store later', async t => {
  const { store, manifests } = start()
  const { bytes, digest } = manifest('{}')
  t.equal(await manifests.read(digest), undefined)
  manifests.keep(digest, bytes)
  t.same(await manifests.read(digest), bytes)
  await manifests.close()
  t.same(store.blobs.get(digest)?.bytes, bytes)
  t.equal(store.held + store.ingests, 0)
  const later = start(store)
  t.same(await later.manifests.read(digest), bytes)
  t.equal(store.held, 0)
  later.manifests.keep(digest, bytes)
  await later.manifests.close()
  t.equal(store.blobs.size, 1)
})

t.test('memory is bounded, the store holds the rest', async t => {
  const { store, manifests } = start()
  const all = Array.from({ length: 20 }, (_, index) => manifest(`${index}`.padEnd(500)))
  for (const { bytes, digest } of all) manifests.keep(digest, bytes)
  await manifests.close()
  t.equal(store.blobs.size, 20)
  for (const { bytes, digest } of all) t.same(await manifests.read(digest), bytes)
  t.ok(store.reads > 0, 'some had to be read')
  const large = manifest('x'.repeat(1001))
  manifests.keep(large.digest, large.bytes)
  await manifests.close()
  t.equal(store.blobs.has(large.digest), false, 'what is larger than any manifest is not kept')
})

t.test('one that turned bad is set aside and is not there any more', async t => {
  const { store, manifests, told } = start()
  const { bytes, digest } = manifest('{"a":1}')
  await putAll(store, { bytes, digest })
  store.blobs.get(digest)!.bytes[0]! ^= 1
  t.equal(await manifests.read(digest), undefined)
  t.same(store.setAsides, [digest])
  t.same(told, [`mismatch ${digest}`])
})

t.test('trouble with the disk is told of and keeps nobody from reading what is in memory', async t => {
  const { store, manifests, told } = start()
  const { bytes, digest } = manifest('{"b":1}')
  store.failing.add('ingest')
  manifests.keep(digest, bytes)
  t.same(await manifests.read(digest), bytes)
  await manifests.close()
  store.failing.add('open')
  t.equal(await manifests.read(digest), undefined)
  t.same(told, ['EINGEST', 'EOPEN'])
})

t.test('a removed one is gone from memory and store', async t => {
  const { store, manifests } = start()
  const { bytes, digest } = manifest('{"c":1}')
  manifests.keep(digest, bytes)
  t.equal(await manifests.remove(digest), true)
  t.equal(await manifests.read(digest), undefined)
  t.equal(store.blobs.size, 0)
  t.equal(await manifests.remove(digest), false)
})
