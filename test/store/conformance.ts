import type { Test } from 'tap'
import type { BlobStore } from '../../src/store/blob-store.js'
import { blobOf, fetchFrom, listed, put, putAll, readAll } from './support/blobs.js'

/** What every blob store promises. `open` gives a new and empty one, which it closes itself when the test ends. */
export function blobStoreConformance(t: Test, open: (t: Test) => Promise<BlobStore>): void {
  const small = blobOf('small', 1000)
  const large = blobOf('large', 300_001)

  t.test('what was never stored is not there', async t => {
    const store = await open(t)
    t.equal(await store.open(small.digest), undefined)
    t.equal(await store.remove(small.digest), false)
    await store.setAside(small.digest)
    t.same(await listed(store), [])
  })

  t.test('what was committed is found under its digest, and reads back the same at any position', async t => {
    const store = await open(t)
    await putAll(store, small, large)
    t.same(await fetchFrom(store, small.digest), small.bytes)
    t.same(await fetchFrom(store, large.digest), large.bytes)
    const blob = await store.open(large.digest)
    t.equal(blob?.size, large.bytes.length)
    const buffer = Buffer.alloc(5000)
    t.equal(await blob?.read(buffer, 123_456), 5000)
    t.same(buffer, large.bytes.subarray(123_456, 128_456))
    t.equal(await blob?.read(buffer, 300_000), 1, 'the last byte')
    t.equal(buffer[0], large.bytes[300_000])
    t.equal(await blob?.read(buffer, 300_001), 0, 'the end')
    blob?.release()
  })

  t.test('an empty blob, and one with a SHA-512 digest', async t => {
    const store = await open(t)
    const [empty, long] = [blobOf('empty', 0), blobOf('long', 70_000, 'sha512')]
    await putAll(store, empty, long)
    t.same(await fetchFrom(store, empty.digest), empty.bytes)
    t.same(await fetchFrom(store, long.digest), long.bytes)
  })

  t.test('a blob can be written in any order, and read while it grows', async t => {
    const store = await open(t)
    const ingest = await store.ingest(large.bytes.length)
    t.equal(ingest.size, large.bytes.length)
    await Promise.all([
      ingest.write(large.bytes.subarray(200_000), 200_000),
      ingest.write(large.bytes.subarray(100_000, 200_000), 100_000),
    ])
    const buffer = Buffer.alloc(10)
    t.equal(await ingest.read(buffer, 250_000), 10)
    t.same(buffer, large.bytes.subarray(250_000, 250_010))
    await ingest.write(large.bytes.subarray(0, 100_000), 0)
    t.same(await readAll(ingest), large.bytes)
    const blob = await ingest.commit(large.digest)
    t.same(await readAll(ingest), large.bytes, 'and after its commit')
    t.same(await readAll(blob), large.bytes)
    blob.release()
  })

  t.test('a blob of unknown size grows as it is written, in any order', async t => {
    const store = await open(t)
    const ingest = await store.ingest(undefined)
    t.equal(ingest.size, 0)
    t.equal(await ingest.read(Buffer.alloc(10), 0), 0)
    await ingest.write(large.bytes.subarray(0, 1000), 0)
    t.equal(ingest.size, 1000)
    await Promise.all([
      ingest.write(large.bytes.subarray(200_000), 200_000),
      ingest.write(large.bytes.subarray(100_000, 200_000), 100_000),
    ])
    t.equal(ingest.size, large.bytes.length, 'up to where it has been written')
    await ingest.write(large.bytes.subarray(1000, 100_000), 1000)
    t.equal(ingest.size, large.bytes.length)
    t.same(await readAll(ingest), large.bytes)
    const blob = await ingest.commit(large.digest)
    t.equal(blob.size, large.bytes.length)
    blob.release()
    t.same(await fetchFrom(store, large.digest), large.bytes)
  })

  t.test('a blob of unknown size may be empty, and may be discarded', async t => {
    const store = await open(t)
    const [nothing, ingest] = [blobOf('empty', 0), await store.ingest(undefined)]
    const blob = await ingest.commit(nothing.digest)
    t.equal(blob.size, 0)
    blob.release()
    t.same(await fetchFrom(store, nothing.digest), nothing.bytes)
    const given = await store.ingest(undefined)
    await given.write(small.bytes, 0)
    await given.discard()
    t.same(await listed(store), [nothing.digest])
    await t.rejects(given.write(small.bytes, 0))
    await t.rejects(given.commit(small.digest))
  })

  t.test('nothing is found before its commit, or after it was discarded', async t => {
    const store = await open(t)
    const ingest = await store.ingest(small.bytes.length)
    await ingest.write(small.bytes, 0)
    t.equal(await store.open(small.digest), undefined)
    await ingest.discard()
    await ingest.discard()
    t.equal(await store.open(small.digest), undefined)
    t.same(await listed(store), [])
    await t.rejects(ingest.commit(small.digest))
  })

  t.test('discarding what was committed does nothing', async t => {
    const store = await open(t)
    const ingest = await store.ingest(small.bytes.length)
    await ingest.write(small.bytes, 0)
    const blob = await ingest.commit(small.digest)
    await ingest.discard()
    t.same(await readAll(blob), small.bytes)
    blob.release()
    t.same(await fetchFrom(store, small.digest), small.bytes)
  })

  t.test('what was suspended is resumed once, with what is there, and read on by who read it', async t => {
    const store = await open(t)
    const { bytes, digest } = large
    t.equal(await store.resume(digest), undefined, 'nothing was suspended')
    const first = await store.ingest(bytes.length)
    await first.write(bytes.subarray(1000, 5000), 1000)
    await first.write(bytes.subarray(200_000, 200_001), 200_000)
    const present = [
      { first: 1000, last: 4999 },
      { first: 200_000, last: 200_000 },
    ]
    t.equal(await first.suspend(digest, present), true)
    await t.rejects(first.commit(digest))
    t.equal(await store.open(digest), undefined)
    t.same(await listed(store), [])

    const [resumed, again] = await Promise.all([store.resume(digest), store.resume(digest)])
    const suspended = resumed ?? again
    t.ok(suspended && !(resumed && again), 'it is one’s alone')
    if (!suspended) return
    t.same(suspended.present, present)
    const { ingest } = suspended
    t.equal(ingest.size, bytes.length)
    const buffer = Buffer.alloc(4000)
    for (const each of [first, ingest]) {
      t.equal(await each.read(buffer, 1000), 4000)
      t.same(buffer, bytes.subarray(1000, 5000))
    }
    await first.discard()
    await ingest.write(bytes.subarray(0, 1000), 0)
    await ingest.write(bytes.subarray(5000), 5000)
    t.same(await readAll(ingest), bytes)
    const blob = await ingest.commit(digest)
    await ingest.discard()
    t.same(await readAll(blob), bytes)
    blob.release()
    t.equal(await store.resume(digest), undefined)
  })

  t.test('what was suspended may be suspended again, and goes for good with a discard', async t => {
    const store = await open(t)
    const { bytes, digest } = large
    for (let part = 0; part < 3; part++) {
      const ingest = (await store.resume(digest))?.ingest ?? (await store.ingest(bytes.length))
      await ingest.write(bytes.subarray(part * 1000, part * 1000 + 1000), part * 1000)
      await ingest.suspend(digest, [{ first: 0, last: part * 1000 + 999 }])
      await ingest.discard()
      await ingest.discard()
    }
    const suspended = await store.resume(digest)
    t.same(suspended?.present, [{ first: 0, last: 2999 }])
    const buffer = Buffer.alloc(3000)
    await suspended?.ingest.read(buffer, 0)
    t.same(buffer, bytes.subarray(0, 3000))
    await suspended?.ingest.discard()
    t.equal(await store.resume(digest), undefined)
  })

  t.test('of two that suspend the same blob the later is kept', async t => {
    const store = await open(t)
    const ingests = await Promise.all([store.ingest(small.bytes.length), store.ingest(small.bytes.length)])
    for (const [index, ingest] of ingests.entries()) {
      await ingest.write(small.bytes.subarray(0, 10 + index), 0)
      await ingest.suspend(small.digest, [{ first: 0, last: 9 + index }])
    }
    await Promise.all(ingests.map(ingest => ingest.discard()))
    const suspended = await store.resume(small.digest)
    t.same(suspended?.present, [{ first: 0, last: 10 }])
    await suspended?.ingest.discard()
  })

  t.test('a blob that was just committed is verified, and stays so', async t => {
    const store = await open(t)
    const committed = await put(store, small)
    t.equal(committed.verified, true)
    committed.release()
    const opened = await store.open(small.digest)
    t.equal(opened?.verified, true)
    opened?.release()
  })

  t.test('the same blob can be committed twice, one after the other or at once', async t => {
    const store = await open(t)
    const first = await put(store, large)
    const again = await Promise.all([put(store, large), put(store, large)])
    for (const blob of [first, ...again]) {
      t.equal(blob.verified, true)
      t.same(await readAll(blob), large.bytes)
      blob.release()
    }
    t.same(await listed(store), [large.digest])
    t.same(await fetchFrom(store, large.digest), large.bytes)
  })

  t.test('many hold a blob side by side, each as long as they like', async t => {
    const store = await open(t)
    await putAll(store, large)
    const held = await Promise.all(Array.from({ length: 40 }, () => store.open(large.digest)))
    const [first, ...others] = held
    for (const blob of others) {
      blob?.release()
      blob?.release()
    }
    t.same(first && (await readAll(first)), large.bytes, 'releasing twice takes nobody else’s hold')
    first?.release()
    t.same(await fetchFrom(store, large.digest), large.bytes)
  })

  for (const how of ['remove', 'setAside'] as const) {
    t.test(`after ${how} a blob is not found, who holds it keeps it, and it can be stored anew`, async t => {
      const store = await open(t)
      await putAll(store, large)
      const held = await store.open(large.digest)
      const result = await store[how](large.digest)
      if (how === 'remove') t.equal(result, true)
      t.equal(await store.open(large.digest), undefined)
      t.same(await listed(store), [])
      t.same(held && (await readAll(held)), large.bytes)
      await putAll(store, large)
      t.same(await fetchFrom(store, large.digest), large.bytes)
      t.same(held && (await readAll(held)), large.bytes)
      held?.release()
      t.same(await fetchFrom(store, large.digest), large.bytes)
    })
  }

  t.test('what was seen to be bad is set aside only as long as its digest leads to it', async t => {
    const store = await open(t)
    await putAll(store, large)
    const first = await store.open(large.digest)
    const beside = await store.open(large.digest)
    t.equal(await store.setAside(large.digest, first), true)
    t.equal(await store.open(large.digest), undefined)
    t.equal(await store.setAside(large.digest, first), false, 'it is gone')
    await putAll(store, large)
    t.equal(await store.setAside(large.digest, beside), false, 'another lies there')
    t.same(await fetchFrom(store, large.digest), large.bytes)
    first?.release()
    beside?.release()
  })

  t.test('opening a blob without using it leaves its place in the list', async t => {
    const store = await open(t)
    const blobs = [blobOf(1, 10), blobOf(2, 20)] as const
    await putAll(store, ...blobs)
    const first = await store.open(blobs[0].digest, { use: false })
    t.same(first && (await readAll(first)), blobs[0].bytes)
    t.same(await listed(store), [blobs[0].digest, blobs[1].digest])
    const used = await store.open(blobs[0].digest)
    t.same(await listed(store), [blobs[1].digest, blobs[0].digest], 'a use beside it counts')
    first?.release()
    used?.release()
  })

  t.test('the list has every blob with its size, least recently used first', async t => {
    const store = await open(t)
    const blobs = [blobOf(1, 10), blobOf(2, 20), blobOf(3, 30)] as const
    await putAll(store, ...blobs)
    await fetchFrom(store, blobs[0].digest)
    const entries = []
    for await (const entry of store.list()) entries.push({ ...entry })
    t.same(entries, [
      { digest: blobs[1].digest, size: 20 },
      { digest: blobs[2].digest, size: 30 },
      { digest: blobs[0].digest, size: 10 },
    ])
  })

  t.test('opening, storing and removing the same blobs at once never shows wrong bytes', async t => {
    const store = await open(t)
    const blobs = [1, 2, 3].map(seed => blobOf(seed, 20_000 + seed))
    let seen = 0
    await Promise.all(
      Array.from({ length: 60 }, async (_, turn) => {
        const blob = blobs[turn % blobs.length] ?? small
        if (turn % 5 === 0) await putAll(store, blob)
        else if (turn % 7 === 0) await store.remove(blob.digest)
        else if (turn % 11 === 0) await store.setAside(blob.digest)
        const bytes = await fetchFrom(store, blob.digest)
        if (bytes && bytes.compare(blob.bytes) !== 0) t.fail('wrong bytes')
        if (bytes) seen++
      }),
    )
    t.ok(seen > 0, 'some were seen')
    await putAll(store, ...blobs)
    for (const blob of blobs) t.same(await fetchFrom(store, blob.digest), blob.bytes)
  })
}
