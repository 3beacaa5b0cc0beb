import { execFileSync } from 'node:child_process'
import * as nodeFiles from 'node:fs/promises'
import {
  appendFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { hexOf, type Digest } from '../../src/oci/digest.js'
import { CacheTrouble } from '../../src/store/blob-store.js'
import type { FileSystem } from '../../src/store/file-system.js'
import { blobStoreConformance } from './conformance.js'
import { blobOf, fetchFrom, listed, put, putAll, readAll } from './support/blobs.js'
import { openStore } from './support/open-store.js'

const small = blobOf('small', 1000)
const large = blobOf('large', 100_000)

function fileOf(directory: string, digest: Digest): string {
  const [algorithm = ''] = digest.split(':')
  return join(directory, 'v1/blobs', algorithm, hexOf(digest).slice(0, 2), hexOf(digest))
}

function fails(code: string): never {
  throw Object.assign(new Error(`${code}: made up`), { code })
}

/** A clock that stands until it is moved. */
function clockAt(time: number): { now: () => number; pass(ms: number): void } {
  return { now: () => time, pass: ms => void (time += ms) }
}

const SECOND = 1000
const HOUR = 3600 * SECOND

/** In seconds since 1970. */
const LONG_AGO = 1_600_000_000

t.test('a blob store on disk', t => {
  blobStoreConformance(t, t => openStore(t, t.testdir()))
  t.end()
})

t.test('blobs lie under their digests, for the owner only', async t => {
  const directory = join(t.testdir(), 'cache')
  const store = await openStore(t, directory)
  const long = blobOf('long', 10, 'sha512')
  await putAll(store, small, long)
  t.same(readFileSync(fileOf(directory, small.digest)), small.bytes)
  t.same(readFileSync(fileOf(directory, long.digest)), long.bytes)
  t.equal(statSync(fileOf(directory, small.digest)).mode & 0o777, 0o600)
  for (const each of ['', 'v1', 'v1/blobs', 'v1/blobs/sha256', 'v1/ingest', 'v1/partial', 'v1/quarantine']) {
    t.equal(statSync(join(directory, each)).mode & 0o777, 0o700, each)
  }
  t.same(readdirSync(join(directory, 'v1/ingest')), [])
})

t.test('a restart finds the blobs, not verified, and removes what was half-way in', async t => {
  const directory = t.testdir()
  const first = await openStore(t, directory)
  await putAll(first, small, large)
  const ingest = await first.ingest(5)
  await ingest.write(Buffer.from('hello'), 0)
  await first.close()
  await ingest.discard()
  writeFileSync(join(directory, 'v1/ingest/left'), 'x')
  mkdirSync(join(directory, 'v1/ingest/odd/er'), { recursive: true })

  const second = await openStore(t, directory)
  t.same(readdirSync(join(directory, 'v1/ingest')), [])
  const blob = await second.open(large.digest)
  t.equal(blob?.verified, false)
  t.same(blob && (await readAll(blob)), large.bytes)
  const beside = await second.open(large.digest)
  blob?.markVerified()
  t.equal(blob?.verified, true)
  t.equal(beside?.verified, true, 'who holds the same file is told')
  blob?.release()
  beside?.release()
  const again = await second.open(large.digest)
  t.equal(again?.verified, true)
  again?.release()
  t.equal((await listed(second)).length, 2)
})

t.test('a file that changed is not verified any more', async t => {
  const directory = t.testdir()
  const store = await openStore(t, directory)
  const changes: Record<string, (file: string) => void> = {
    'one bit': file => {
      const bytes = readFileSync(file)
      bytes[50] = (bytes[50] ?? 0) ^ 4
      writeFileSync(file, bytes)
    },
    'one bit, with the time put back': file => {
      const bytes = readFileSync(file)
      bytes[50] = (bytes[50] ?? 0) ^ 4
      writeFileSync(file, bytes)
      utimesSync(file, LONG_AGO, LONG_AGO)
    },
    'a longer one': file => appendFileSync(file, 'x'),
    'a shorter one': file => writeFileSync(file, 'x'),
    'another file': file => {
      writeFileSync(`${file}.new`, large.bytes)
      renameSync(`${file}.new`, file)
    },
  }
  for (const held of [false, true]) {
    for (const [what, change] of Object.entries(changes)) {
      await store.remove(large.digest)
      await putAll(store, large)
      utimesSync(fileOf(directory, large.digest), LONG_AGO, LONG_AGO)
      const holder = await store.open(large.digest)
      holder?.markVerified()
      if (!held) holder?.release()
      change(fileOf(directory, large.digest))
      const blob = await store.open(large.digest)
      t.equal(blob?.verified, false, `${what}, ${held ? 'held' : 'not held'}`)
      t.equal(blob?.size, statSync(fileOf(directory, large.digest)).size)
      blob?.release()
      holder?.release()
    }
  }
})

t.test('only a regular file is ever served', async t => {
  const directory = t.testdir({ outside: small.bytes })
  const cache = join(directory, 'cache')
  const store = await openStore(t, cache)
  const place = fileOf(cache, small.digest)
  const others: Record<string, () => void> = {
    'a symbolic link': () => symlinkSync(join(directory, 'outside'), place),
    'a FIFO': () => execFileSync('mkfifo', [place]),
    'a directory': () => mkdirSync(join(place, 'deep'), { recursive: true }),
    'a socket': () => linkSync(join(cache, 'v1/lock.sock'), place),
  }
  for (const [what, make] of Object.entries(others)) {
    await putAll(store, small)
    unlinkSync(place)
    make()
    t.equal(await store.open(small.digest), undefined, what)
    t.same(await listed(store), [])
    t.notOk(existsSync(place), 'it was moved out of the way')
    make()
    await putAll(store, small)
    t.same(await fetchFrom(store, small.digest), small.bytes, `stored in place of ${what}`)
  }
})

t.test('many who want a blob at once have its file opened once', async t => {
  const directory = t.testdir()
  let opened = 0
  const files = {
    ...nodeFiles,
    open: async (...args: Parameters<FileSystem['open']>) => {
      if (args[0] === fileOf(directory, large.digest)) opened++
      return nodeFiles.open(...args)
    },
  }
  const store = await openStore(t, directory, {}, files)
  await putAll(store, large)
  const before = opened
  const blobs = await Promise.all(Array.from({ length: 50 }, () => store.open(large.digest)))
  t.equal(opened - before, 1)
  for (const [index, blob] of blobs.entries()) {
    if (index % 10 === 0) t.same(blob && (await readAll(blob)), large.bytes)
    blob?.release()
  }
  t.same(
    await Promise.all(Array.from({ length: 50 }, () => store.open(small.digest))),
    Array(50).fill(undefined),
  )
})

t.test('what lies in the blobs’ folders without being one is left alone', async t => {
  const directory = t.testdir()
  const first = await openStore(t, directory)
  await putAll(first, small)
  await first.close()
  const folder = dirname(fileOf(directory, small.digest))
  const strangers = [join(folder, 'note.txt'), join(folder, 'f'.repeat(64)), join(folder, '../../note')]
  for (const file of strangers) writeFileSync(file, 'x')
  symlinkSync('/etc/passwd', join(folder, `${hexOf(small.digest).slice(0, 2)}${'0'.repeat(62)}`))
  const second = await openStore(t, directory)
  t.same(await listed(second), [small.digest])
  for (const file of strangers) t.ok(existsSync(file))
})

t.test('an older file stays when it is known to be good, and is replaced when it is not', async t => {
  const directory = t.testdir()
  const first = await openStore(t, directory)
  await putAll(first, small)
  const { ino } = statSync(fileOf(directory, small.digest))
  await putAll(first, small)
  t.equal(statSync(fileOf(directory, small.digest)).ino, ino)
  t.same(readdirSync(join(directory, 'v1/ingest')), [])
  await first.close()

  writeFileSync(fileOf(directory, small.digest), 'bad')
  const second = await openStore(t, directory)
  const held = await second.open(small.digest)
  const fresh = await put(second, small)
  t.same(await readAll(fresh), small.bytes)
  t.same(readFileSync(fileOf(directory, small.digest)), small.bytes)
  t.same(held && String(await readAll(held)), 'bad', 'who holds the older one keeps it')
  held?.release()
  const opened = await second.open(small.digest)
  t.equal(opened?.verified, true)
  opened?.release()
  fresh.release()
})

t.test('bad blobs are kept aside, the newest of them, and counted', async t => {
  const directory = t.testdir()
  const clock = clockAt(Date.now())
  const store = await openStore(t, directory, { clock: clock.now })
  for (let seed = 0; seed < 20; seed++) {
    const blob = blobOf(seed, 100)
    await putAll(store, blob)
    await store.setAside(blob.digest)
    clock.pass(SECOND)
  }
  const kept = readdirSync(join(directory, 'v1/quarantine'))
  t.equal(kept.length, 16)
  t.ok(kept.some(name => name.endsWith(hexOf(blobOf(19, 100).digest))))
  t.notOk(kept.some(name => name.endsWith(hexOf(blobOf(0, 100).digest))))
  t.equal((await store.stats()).integrityFailures, 20)
  await store.close()

  const tight = await openStore(t, directory, { maxSize: 20 * 4096, clock: clock.now })
  await putAll(tight, small)
  await tight.setAside(small.digest)
  t.equal(readdirSync(join(directory, 'v1/quarantine')).length, 1, 'a small cache keeps little')
})

t.test('a bad blob that cannot be moved is not served again until it is stored anew', async t => {
  const directory = t.testdir()
  let readOnly = false
  const files = {
    ...nodeFiles,
    rename: async (from: string, to: string) => (readOnly ? fails('EROFS') : nodeFiles.rename(from, to)),
  } as FileSystem
  const store = await openStore(t, directory, {}, files)
  await putAll(store, small)
  readOnly = true
  await store.setAside(small.digest)
  t.ok(existsSync(fileOf(directory, small.digest)))
  t.equal(await store.open(small.digest), undefined)
  readOnly = false
  await putAll(store, small)
  t.same(await fetchFrom(store, small.digest), small.bytes)
})

t.test('the order of use survives a restart, noted at most once an hour', async t => {
  const directory = t.testdir()
  const clock = clockAt(Date.now() + HOUR)
  const blobs = [1, 2, 3].map(seed => blobOf(seed, 5000))
  const first = await openStore(t, directory, { clock: clock.now })
  for (const blob of blobs) {
    await putAll(first, blob)
    utimesSync(fileOf(directory, blob.digest), clock.now() / 1000, LONG_AGO)
    clock.pass(SECOND)
  }
  const [one, two, three] = blobs.map(blob => blob.digest) as [Digest, Digest, Digest]
  const times = (): number[] => [one, two, three].map(each => statSync(fileOf(directory, each)).atimeMs)
  const before = times()
  clock.pass(HOUR / 2)
  await fetchFrom(first, one)
  t.same(times(), before, 'too soon')
  clock.pass(HOUR)
  const blob = await first.open(one)
  blob?.markVerified()
  t.equal(statSync(fileOf(directory, one)).mtimeMs, LONG_AGO * 1000, 'its mtime stays')
  blob?.release()
  clock.pass(2 * HOUR)
  const again = await first.open(one)
  t.equal(again?.verified, true, 'noting the use does not make it unverified')
  again?.release()
  await first.close()
  t.same(await listed(await openStore(t, directory, { clock: clock.now })), [two, three, one])
})

t.test('what could never fit is refused at once, and does not stop the others', async t => {
  const store = await openStore(t, t.testdir(), { maxSize: 100_000 })
  await t.rejects(store.ingest(200_000), { name: 'CacheTrouble', code: 'EFBIG' })
  await t.rejects(store.ingest(Number.MAX_SAFE_INTEGER), { code: 'EFBIG' })
  await putAll(store, small)
  const full = await openStore(t, join(t.testdirName, 'full'), { minFree: { percent: 100 } })
  await t.rejects(full.ingest(1), { code: 'EFBIG' })
})

t.test('what is held or on its way in is not evicted, and neither is promised twice', async t => {
  const store = await openStore(t, t.testdir(), { maxSize: 10 * 4096 })
  const blobs = [1, 2, 3, 4].map(seed => blobOf(seed, 2 * 4096)) as [
    typeof small,
    typeof small,
    typeof small,
    typeof small,
  ]
  await putAll(store, ...blobs)
  const held = await store.open(blobs[0].digest)
  const ingest = await store.ingest(6 * 4096)
  await store.settled()
  t.same(await listed(store), [blobs[0].digest])
  await t.rejects(store.ingest(3 * 4096), { code: 'ENOSPC' })
  t.equal((await store.stats()).writePaused, undefined, 'that is no fault of the disk’s')
  await ingest.discard()
  await putAll(store, blobs[1], blobs[2])
  held?.release()
  const { bytes, reservedBytes, evictions, evictedBytes } = await store.stats()
  t.same({ bytes, reservedBytes }, { bytes: 6 * 4096, reservedBytes: 0 })
  t.same({ evictions, evictedBytes }, { evictions: 3, evictedBytes: 6 * 4096 })
})

t.test('after the disk failed nothing is written for 30 s, then it is tried again', async t => {
  const clock = clockAt(Date.now())
  const said: string[] = []
  const say = (_: object, message: string): void => void said.push(message)
  let failing: string | undefined
  const wrapped = async (...args: Parameters<FileSystem['open']>) => {
    const handle = await nodeFiles.open(...args)
    const write = handle.write.bind(handle)
    const sync = handle.sync.bind(handle)
    handle.write = (async (...given: Parameters<typeof write>) =>
      failing === 'write' ? fails('ENOSPC') : write(...given)) as typeof write
    handle.sync = async () => (failing === 'fsync' ? fails('EIO') : sync())
    return handle
  }
  const files = {
    ...nodeFiles,
    open: async (...args: Parameters<FileSystem['open']>) =>
      failing === 'open' && args[1] === 'wx+' ? fails('EMFILE') : wrapped(...args),
    rename: async (from: string, to: string) =>
      failing === 'rename' ? fails('EDQUOT') : nodeFiles.rename(from, to),
  } as FileSystem
  const directory = t.testdir()
  const store = await openStore(t, directory, { clock: clock.now, log: { info: say, warn: say } }, files)
  await putAll(store, large)
  const codes = { open: 'EMFILE', write: 'ENOSPC', fsync: 'EIO', rename: 'EDQUOT' }
  for (const [where, code] of Object.entries(codes)) {
    failing = where
    const ingest = where === 'open' ? undefined : await store.ingest(small.bytes.length)
    await t.rejects(
      (async () => {
        if (!ingest) return await store.ingest(1)
        await ingest.write(small.bytes, 0)
        return await ingest.commit(small.digest)
      })(),
      { name: 'CacheTrouble', code },
      `${where} fails`,
    )
    if (where !== 'write')
      t.same(ingest ? await readAll(ingest) : small.bytes, small.bytes, 'reading goes on')
    if (ingest) await t.rejects(ingest.commit(small.digest))
    await ingest?.discard()
    failing = undefined
    t.equal(await store.open(small.digest), undefined, 'nothing was stored')
    t.same(readdirSync(join(directory, 'v1/ingest')), [], 'nothing is left')
    t.equal((await store.stats()).reservedBytes, 0)
    await t.rejects(store.ingest(1), { code }, 'it pauses')
    t.same(await fetchFrom(store, large.digest), large.bytes, 'and serves what there is')
    clock.pass(29 * SECOND)
    await t.rejects(store.ingest(1), { code })
    clock.pass(SECOND)
    await putAll(store, small)
    t.match(said.splice(0), [/cannot be written to/, /written to again/])
    t.equal((await store.stats()).writePaused, undefined)
    await store.remove(small.digest)
  }
  t.equal((await store.stats()).writeErrors, 4)
})

/** A file system that writes no more than so many bytes at a time. */
function shortWrites(most: () => number): FileSystem {
  return {
    ...nodeFiles,
    open: async (...args: Parameters<FileSystem['open']>) => {
      const handle = await nodeFiles.open(...args)
      const write = handle.write.bind(handle) as (
        bytes: Uint8Array,
        offset: number,
        length: number,
        position: number,
      ) => Promise<{ bytesWritten: number; buffer: Uint8Array }>
      handle.write = (async (bytes: Uint8Array, offset: number, length: number, position: number) =>
        most() === 0
          ? { bytesWritten: 0, buffer: bytes }
          : write(bytes, offset, Math.min(length, most()), position)) as never
      return handle
    },
  }
}

t.test('a short write is followed by the rest, and one of nothing is trouble', async t => {
  let most = 1000
  const files = shortWrites(() => most)
  const store = await openStore(t, t.testdir(), {}, files)
  await putAll(store, large)
  t.same(await fetchFrom(store, large.digest), large.bytes)
  most = 0
  await t.rejects(put(store, small), { code: 'ENOSPC' })
})

t.test('a write whose file is given up meanwhile is no trouble of the disk', async t => {
  const store = await openStore(
    t,
    t.testdir(),
    {},
    shortWrites(() => 10),
  )
  const ingest = await store.ingest(large.bytes.length)
  const written = t.rejects(ingest.write(large.bytes, 0), { name: 'CacheTrouble', code: 'ECANCELED' })
  await new Promise(resolve => setImmediate(resolve))
  await ingest.discard()
  await written
  const { reservedBytes, writeErrors, writePaused } = await store.stats()
  t.same(
    { reservedBytes, writeErrors, writePaused },
    { reservedBytes: 0, writeErrors: 0, writePaused: undefined },
  )
  await putAll(store, small)
})

t.test('a commit of less than was announced is refused', async t => {
  const store = await openStore(t, t.testdir())
  const ingest = await store.ingest(2000)
  await ingest.write(small.bytes, 0)
  await t.rejects(ingest.commit(small.digest), CacheTrouble)
  await ingest.discard()
  t.equal(await store.open(small.digest), undefined)
})

t.test('a blob that cannot be read is trouble, and counted', async t => {
  let code: string | undefined
  const files = {
    ...nodeFiles,
    open: async (...args: Parameters<FileSystem['open']>) => {
      if (code !== undefined && typeof args[1] === 'number') fails(code)
      return nodeFiles.open(...args)
    },
  } as FileSystem
  const store = await openStore(t, t.testdir(), {}, files)
  await putAll(store, small)
  const codes = ['EIO', 'EACCES', 'EMFILE', 'ENFILE']
  for (code of codes) await t.rejects(store.open(small.digest), { name: 'CacheTrouble', code })
  code = undefined
  t.same(await fetchFrom(store, small.digest), small.bytes)
  t.equal((await store.stats()).readErrors, codes.length)
  await store.ingest(1).then(ingest => ingest.discard())
})

t.test('a directory that cannot be made does not keep the store from starting, and it recovers', async t => {
  const directory = join(t.testdir({ 'in-the-way': 'a file' }), 'in-the-way/cache')
  const clock = clockAt(Date.now())
  const store = await openStore(t, directory, { clock: clock.now })
  t.equal(await store.open(small.digest), undefined)
  t.same(await listed(store), [])
  t.equal(await store.remove(small.digest), false)
  await t.rejects(store.ingest(1), { name: 'CacheTrouble', code: 'ENOTDIR' })
  unlinkSync(dirname(directory))
  await t.rejects(store.ingest(1), { code: 'ENOTDIR' })
  clock.pass(31 * SECOND)
  await putAll(store, small)
  t.same(await fetchFrom(store, small.digest), small.bytes)
})

t.test('a directory that is emptied under the store is made anew', async t => {
  const directory = t.testdir()
  const store = await openStore(t, directory)
  await putAll(store, small, large)
  const held = await store.open(large.digest)
  for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true })
  t.equal(await store.open(large.digest), undefined)
  t.same(held && (await readAll(held)), large.bytes)
  held?.release()
  await putAll(store, small)
  t.same(await fetchFrom(store, small.digest), small.bytes)
  await store.settled()
  t.same(await listed(store), [small.digest])
  rmSync(join(directory, 'v1/blobs'), { recursive: true })
  await putAll(store, large)
  t.same(await fetchFrom(store, large.digest), large.bytes)
})

t.test('the index tells sizes without that being a use', async t => {
  const store = await openStore(t, t.testdir())
  await putAll(store, small, large)
  t.equal(store.sizeOf(small.digest), small.bytes.length)
  t.equal(store.sizeOf(blobOf('other', 5).digest), undefined)
  t.same(await listed(store), [small.digest, large.digest], 'the small one is the oldest still')
})

t.test('a closed store refuses, though what is held can still be read', async t => {
  const store = await openStore(t, t.testdir())
  const blob = await put(store, small)
  const ingest = await store.ingest(small.bytes.length)
  await ingest.write(small.bytes, 0)
  await store.close()
  await store.close()
  await t.rejects(store.open(small.digest), { code: 'ECLOSED' })
  await t.rejects(store.ingest(1), { code: 'ECLOSED' })
  await t.rejects(ingest.commit(small.digest), { code: 'ECLOSED' })
  await ingest.discard()
  t.same(await readAll(blob), small.bytes)
  blob.release()
})

t.test('no file stays open once everything is released', async t => {
  const directory = t.testdir()
  const store = await openStore(t, directory)
  const openFiles = async (): Promise<number> => {
    const names = await Promise.all(
      readdirSync('/proc/self/fd').map(fd => nodeFiles.readlink(`/proc/self/fd/${fd}`).catch(() => '')),
    )
    return names.filter(name => /v1\/(blobs|ingest)/.test(name)).length
  }
  const held = [await put(store, small), await put(store, small), await put(store, large)]
  held.push(
    ...((await Promise.all(
      [1, 2, 3].map(async () => (await store.open(small.digest)) ?? t.fail()),
    )) as never[]),
  )
  t.ok((await openFiles()) > 0)
  for (const blob of held) blob.release()
  await new Promise(resolve => setTimeout(resolve, 50))
  t.equal(await openFiles(), 0)
})
