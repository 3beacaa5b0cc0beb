import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import * as nodeFiles from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { hexOf } from '../../src/oci/digest.js'
import type { DiskStore } from '../../src/store/disk-store.js'
import type { FileSystem } from '../../src/store/file-system.js'
import { blobOf, putAll, type TestBlob } from './support/blobs.js'
import { openStore } from './support/open-store.js'

const BLOCK = 4096
const HOUR = 3_600_000
const blob = blobOf('blob', 5 * BLOCK + 7)

/** Suspends a blob of which the first `count` bytes are there; false when it was not kept. */
async function suspend(store: DiskStore, { bytes, digest }: TestBlob, count: number): Promise<boolean> {
  const ingest = await store.ingest(bytes.length)
  try {
    await ingest.write(bytes.subarray(0, count), 0)
    return await ingest.suspend(digest, [{ first: 0, last: count - 1 }])
  } finally {
    await ingest.discard()
  }
}

const kept = (directory: string): string[] => readdirSync(join(directory, 'v1/partial')).sort()
const inIngest = (directory: string): string[] => readdirSync(join(directory, 'v1/ingest'))
const nameOf = ({ digest }: TestBlob): string => `sha256-${hexOf(digest)}`
const fileOf = (directory: string, of: TestBlob): string => join(directory, 'v1/partial', nameOf(of))

t.test('what was suspended survives one restart and the next, for the owner only', async t => {
  const directory = t.testdir()
  const first = await openStore(t, directory)
  const ingest = await first.ingest(blob.bytes.length)
  await ingest.write(blob.bytes.subarray(0, 3 * BLOCK), 0)
  t.equal(await ingest.suspend(blob.digest, [{ first: 0, last: 3 * BLOCK - 1 }]), true)
  t.equal((await first.stats()).reservedBytes, 0, 'its room is given back')
  await ingest.discard()
  await first.close()
  t.same(kept(directory), [nameOf(blob)])
  t.equal(statSync(fileOf(directory, blob)).mode & 0o777, 0o600)

  const second = await openStore(t, directory)
  const resumed = await second.resume(blob.digest)
  t.same(kept(directory), [], 'it is one’s alone')
  t.same(resumed?.present, [{ first: 0, last: 3 * BLOCK - 1 }])
  t.equal((await second.stats()).reservedBytes, 6 * BLOCK, 'room for all of it is promised again')
  await resumed?.ingest.write(blob.bytes.subarray(3 * BLOCK, 4 * BLOCK), 3 * BLOCK)
  await resumed?.ingest.suspend(blob.digest, [{ first: 0, last: 4 * BLOCK - 1 }])
  await resumed?.ingest.discard()
  await second.close()

  const third = await openStore(t, directory)
  const again = await third.resume(blob.digest)
  t.same(again?.present, [{ first: 0, last: 4 * BLOCK - 1 }])
  await again?.ingest.write(blob.bytes.subarray(4 * BLOCK), 4 * BLOCK)
  const stored = await again?.ingest.commit(blob.digest)
  stored?.release()
  await third.settled()
  t.same(
    readFileSync(join(directory, 'v1/blobs/sha256', hexOf(blob.digest).slice(0, 2), hexOf(blob.digest))),
    blob.bytes,
  )
  t.same([...kept(directory), ...inIngest(directory)], [])
})

t.test('a record that is missing or does not fit is not believed, and its file is removed', async t => {
  const directory = t.testdir()
  const store = await openStore(t, directory)
  const { length } = blob.bytes
  const withRecord = (record: string) => (file: string) => {
    truncateSync(file, length)
    appendFileSync(file, record + String(record.length).padStart(10, '0'))
  }
  const damages: Record<string, (file: string) => void> = {
    'no record': file => truncateSync(file, length),
    'a record cut off': file => truncateSync(file, statSync(file).size - 3),
    'something behind it': file => appendFileSync(file, 'x'),
    'nothing at all': file => truncateSync(file, 0),
    'no JSON': withRecord('{"size"'),
    'no object': withRecord('null'),
    'no size': withRecord('{"present":[[0,1]]}'),
    'another size': withRecord(`{"size":${length + 1},"present":[[0,1]]}`),
    'bytes beyond the end': withRecord(`{"size":${length},"present":[[0,${length}]]}`),
    'bytes before the beginning': withRecord(`{"size":${length},"present":[[-1,5]]}`),
    'bytes twice': withRecord(`{"size":${length},"present":[[0,9],[9,20]]}`),
    'bytes in no order': withRecord(`{"size":${length},"present":[[20,30],[0,9]]}`),
    'an end before its beginning': withRecord(`{"size":${length},"present":[[9,5]]}`),
    'no numbers': withRecord(`{"size":${length},"present":[["0","9"]]}`),
    'no pairs': withRecord(`{"size":${length},"present":[5]}`),
    'more than any has': withRecord(`{"size":${length},"present":[[0,1]]}`.padEnd(1024 * 1024 + 1)),
    'a length beyond all': file => {
      truncateSync(file, length)
      appendFileSync(file, '9'.repeat(10))
    },
    'a directory in its place': file => {
      rmSync(file)
      mkdirSync(join(file, 'deep'), { recursive: true })
    },
    'a symbolic link in its place': file => {
      rmSync(file)
      symlinkSync('/etc/passwd', file)
    },
  }
  for (const [what, damage] of Object.entries(damages)) {
    await suspend(store, blob, 2 * BLOCK)
    damage(fileOf(directory, blob))
    t.equal(await store.resume(blob.digest), undefined, what)
    t.same([...kept(directory), ...inIngest(directory)], [], 'it is removed')
  }
  t.ok(existsSync('/etc/passwd'))
  await suspend(store, blob, 2 * BLOCK)
  withRecord(`{"size":${length},"present":[[0,9],[10,20]]}`)(fileOf(directory, blob))
  const resumed = await store.resume(blob.digest)
  t.same(resumed?.present.length, 2, 'a good one is believed')
  await resumed?.ingest.discard()
})

t.test('of what was suspended the newest 64 are kept', async t => {
  const directory = t.testdir()
  let now = Date.now()
  const store = await openStore(t, directory, { clock: () => now++ })
  const blobs = Array.from({ length: 66 }, (_, seed) => blobOf(seed, 100))
  for (const each of blobs) await suspend(store, each, 10)
  t.same(kept(directory), blobs.slice(2).map(nameOf).sort())
})

t.test('what was suspended takes a tenth of the store’s size at most, the newest of it', async t => {
  const directory = t.testdir()
  let now = Date.now()
  const store = await openStore(t, directory, { maxSize: 100 * BLOCK, clock: () => now++ })
  const [large, ...blobs] = [0, 1, 2, 3].map(seed => blobOf(seed, 20 * BLOCK)) as [TestBlob, ...TestBlob[]]
  t.equal(await suspend(store, large, 11 * BLOCK), false, 'one that takes more is not kept')
  t.same([...kept(directory), ...inIngest(directory)], [])
  // The record takes a block of its own.
  for (const each of blobs) t.equal(await suspend(store, each, 3 * BLOCK), true)
  t.same(kept(directory), blobs.slice(1).map(nameOf).sort())
  await store.close()
  const smaller = await openStore(t, directory, { maxSize: 50 * BLOCK })
  t.same(kept(directory), blobs.slice(2).map(nameOf), 'a start with less room thins out too')
  t.equal((await smaller.stats()).bytes, 0, 'it is no part of the store’s size')
})

t.test('what was suspended is kept for a day', async t => {
  const directory = t.testdir()
  let now = Date.now()
  const clock = (): number => now
  const [old, young] = [blobOf('old', 100), blobOf('young', 100)]
  const first = await openStore(t, directory, { clock })
  await suspend(first, old, 10)
  await first.close()
  now += 23.9 * HOUR
  const second = await openStore(t, directory, { clock })
  t.same(kept(directory), [nameOf(old)])
  now += 0.2 * HOUR
  await suspend(second, young, 10)
  t.same(kept(directory), [nameOf(young)], 'one that is added ends the old one')
  await second.close()
  now += 24.1 * HOUR
  await openStore(t, directory, { clock })
  t.same(kept(directory), [], 'and so does a start')
})

t.test('what is resumed needs room for what is missing only, and is kept while there is none', async t => {
  const directory = t.testdir()
  let free = 100
  const files = {
    ...nodeFiles,
    statfs: async () => ({ bavail: free, blocks: 200, bsize: BLOCK }),
  } as unknown as FileSystem
  const store = await openStore(t, directory, { minFree: { bytes: 10 * BLOCK } }, files)
  await suspend(store, blob, 4 * BLOCK)
  free = 11
  await t.rejects(store.resume(blob.digest), { name: 'CacheTrouble', code: 'ENOSPC' })
  t.same(kept(directory), [nameOf(blob)])
  t.same(inIngest(directory), [])
  free = 12
  const resumed = await store.resume(blob.digest)
  t.same(resumed?.present, [{ first: 0, last: 4 * BLOCK - 1 }])
  await t.rejects(store.ingest(1), { code: 'ENOSPC' }, 'the rest of the room is promised')
  await resumed?.ingest.discard()
  t.equal((await store.stats()).reservedBytes, 0)
})

t.test('a disk that fails keeps nothing, and leaves nothing', async t => {
  const directory = t.testdir()
  let failing: string | undefined
  const fails = (where: string): void => {
    if (failing === where) throw Object.assign(new Error('made up'), { code: 'EIO' })
  }
  const files = {
    ...nodeFiles,
    open: async (...args: Parameters<FileSystem['open']>) => {
      const handle = await nodeFiles.open(...args)
      const sync = handle.sync.bind(handle)
      const folder = String(args[0]).endsWith('/partial')
      handle.sync = async () => {
        fails(folder ? 'fsync of the folder' : 'fsync')
        await sync()
      }
      return handle
    },
    rename: async (from: string, to: string) => {
      fails('rename')
      await nodeFiles.rename(from, to)
    },
  } as FileSystem
  let now = Date.now()
  const store = await openStore(t, directory, { clock: () => now }, files)
  for (const where of ['fsync', 'rename', 'fsync of the folder']) {
    failing = where
    await t.rejects(suspend(store, blob, BLOCK), { name: 'CacheTrouble', code: 'EIO' }, where)
    failing = undefined
    t.same([...kept(directory), ...inIngest(directory)], [], 'nothing is left')
    t.equal((await store.stats()).reservedBytes, 0)
    await t.rejects(store.resume(blob.digest), { code: 'EIO' }, 'it pauses')
    now += 31_000
  }
})

t.test('a file that could not be written to is not kept', async t => {
  const directory = t.testdir()
  let failing = false
  const files = {
    ...nodeFiles,
    open: async (...args: Parameters<FileSystem['open']>) => {
      const handle = await nodeFiles.open(...args)
      const write = handle.write.bind(handle)
      handle.write = (async (...given: Parameters<typeof write>) => {
        if (failing) throw Object.assign(new Error('made up'), { code: 'EIO' })
        return write(...given)
      }) as typeof write
      return handle
    },
  } as FileSystem
  const store = await openStore(t, directory, {}, files)
  const ingest = await store.ingest(blob.bytes.length)
  failing = true
  await t.rejects(ingest.write(blob.bytes, 0), { code: 'EIO' })
  failing = false
  await t.rejects(ingest.suspend(blob.digest, [{ first: 0, last: 9 }]), { code: 'EIO' })
  await ingest.discard()
  t.same([...kept(directory), ...inIngest(directory)], [])
})

t.test('a store that was closed neither keeps nor gives', async t => {
  const directory = t.testdir()
  const store = await openStore(t, directory)
  await suspend(store, blob, BLOCK)
  const ingest = await store.ingest(blob.bytes.length)
  await store.close()
  await t.rejects(ingest.suspend(blob.digest, []), { code: 'ECLOSED' })
  await ingest.discard()
  await t.rejects(store.resume(blob.digest), { code: 'ECLOSED' })
  t.same(kept(directory), [nameOf(blob)])
})

t.test('what an older mirror left can be resumed while other blobs come and go', async t => {
  const directory = t.testdir()
  const first = await openStore(t, directory)
  await suspend(first, blob, BLOCK)
  await first.close()
  writeFileSync(join(directory, 'v1/partial/note'), 'somebody’s')
  const store = await openStore(t, directory)
  await putAll(store, blobOf(1, 10), blobOf(2, 10))
  t.ok(
    await store.resume(blob.digest).then(async resumed => {
      await resumed?.ingest.discard()
      return resumed
    }),
  )
  t.same(kept(directory), ['note'], 'a stranger counts, and is left until its time')
})
