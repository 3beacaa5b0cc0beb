import * as nodeFiles from 'node:fs/promises'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { digestOf, type Digest } from '../../src/oci/digest.js'
import { DiskIndex } from '../../src/store/disk-index.js'
import { openDiskStore } from '../../src/store/disk-store.js'
import type { FileSystem } from '../../src/store/file-system.js'
import { layoutOf } from '../../src/store/layout.js'
import { rebuild } from '../../src/store/rebuild.js'
import { blobOf, fetchFrom, listed, putAll } from './support/blobs.js'

const FILES = Number(process.env.MANY_FILES ?? 10_000)

t.test(`${FILES} files: blobs are served at once, and the index is complete soon`, async t => {
  t.setTimeout(600_000)
  const directory = t.testdir()
  const layout = layoutOf(directory)
  const blob = blobOf('wanted', 1000)
  const place = (digest: Digest, bytes: Uint8Array): void => {
    mkdirSync(dirname(layout.blob(digest)), { recursive: true })
    writeFileSync(layout.blob(digest), bytes)
  }
  place(blob.digest, blob.bytes)
  for (let count = 1; count < FILES; count++) place(digestOf(Buffer.from(String(count))), Buffer.of(1))
  const begun = performance.now()
  const store = await openDiskStore({ directory, maxSize: 2 ** 40, minFree: { bytes: 0 } })
  t.teardown(() => store.close())
  const opened = performance.now()
  t.same(await fetchFrom(store, blob.digest), blob.bytes)
  const served = performance.now()
  t.equal((await store.stats()).indexed, false, 'nobody waits for the index')
  let longest = 0
  let last = performance.now()
  const beat = setInterval(() => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }, 5)
  await store.settled()
  clearInterval(beat)
  const { entries, indexed } = await store.stats()
  t.same({ entries, indexed }, { entries: FILES, indexed: true })
  const ms = (from: number, to: number): string => `${(to - from).toFixed()} ms`
  t.comment(
    `open ${ms(begun, opened)}, first read ${ms(opened, served)}, index ${ms(opened, performance.now())}, ` +
      `the loop was busy for ${longest.toFixed()} ms at most`,
  )
})

t.test(
  'what is used, stored, removed or evicted meanwhile counts, not what the directory held before',
  async t => {
    const directory = t.testdir()
    const first = await openDiskStore({ directory, maxSize: 1 << 30, minFree: { bytes: 0 } })
    const [used, removed, other, fresh] = [blobOf(1, 5000), blobOf(2, 5000), blobOf(3, 5000), blobOf(4, 5000)]
    await putAll(first, used, removed, other)
    await first.close()
    mkdirSync(join(directory, 'v1/blobs/sha512'))
    let go = (): void => undefined
    const gate = new Promise<void>(resolve => (go = resolve))
    let arrive = (): void => undefined
    const arrived = new Promise<void>(resolve => (arrive = resolve))
    const files = {
      ...nodeFiles,
      readdir: async (path: string) => {
        const names = (await nodeFiles.readdir(path)).sort()
        if (!path.endsWith('/sha512')) return names
        // All others were seen by now.
        arrive()
        await gate
        return names
      },
    } as unknown as FileSystem
    const store = await openDiskStore({ directory, maxSize: 1 << 30, minFree: { bytes: 0 } }, files)
    t.teardown(() => store.close())
    await arrived
    await fetchFrom(store, used.digest)
    await store.remove(removed.digest)
    await putAll(store, fresh)
    go()
    t.same(await listed(store), [other.digest, used.digest, fresh.digest])
    t.equal((await store.stats()).bytes, 3 * 8192)
  },
)

t.test('a directory that cannot be read through leaves what was found', async t => {
  const directory = t.testdir()
  const layout = layoutOf(directory)
  const index = new DiskIndex()
  for (const seed of [1, 2]) {
    const { digest, bytes } = blobOf(seed, 10)
    mkdirSync(dirname(layout.blob(digest)), { recursive: true })
    writeFileSync(layout.blob(digest), bytes)
  }
  let reads = 0
  const files = {
    ...nodeFiles,
    readdir: async (path: string) => {
      if (/sha256\/..$/.test(path) && ++reads === 2) throw Object.assign(new Error('bad'), { code: 'EIO' })
      return nodeFiles.readdir(path)
    },
  } as unknown as FileSystem
  await t.rejects(rebuild(files, layout.blobs, index, new AbortController().signal), { code: 'EIO' })
  t.equal(index.count, 1)
  await t.rejects(rebuild(files, layout.blobs, index, AbortSignal.abort(new Error('over'))), {
    message: 'over',
  })
  await rebuild(files, join(directory, 'nowhere'), index, new AbortController().signal)
  t.equal(index.count, 1)
})
