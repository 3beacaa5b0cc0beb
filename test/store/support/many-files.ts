/**
 * A process that may have few files open: many-files.js DIRECTORY. It holds blobs until no further file opens, then
 * lets go, and prints what happened as JSON.
 */
import { openSync, closeSync } from 'node:fs'
import { openDiskStore } from '../../../src/store/disk-store.js'
import { CacheTrouble, type StoredBlob } from '../../../src/store/blob-store.js'
import { blobOf, fetchFrom, putAll } from './blobs.js'

let now = Date.now()
const [directory = ''] = process.argv.slice(2)
const store = await openDiskStore({ directory, maxSize: 1 << 30, minFree: { bytes: 0 }, clock: () => now })
const blob = blobOf('blob', 10_000)
await putAll(store, blob)

// What was released is closed soon, but not at once.
await new Promise(resolve => setTimeout(resolve, 200))
const fillers: number[] = []
try {
  for (;;) fillers.push(openSync('/dev/null', 'r'))
} catch {
  // None is left.
}
async function codeOf(attempt: Promise<unknown>): Promise<string> {
  return attempt.then(
    () => 'none',
    (error: unknown) => (error instanceof CacheTrouble ? error.code : String(error)),
  )
}
const opened = await codeOf(store.open(blob.digest))
const ingested = await codeOf(store.ingest(10))
for (const fd of fillers) closeSync(fd)
const reread = (await fetchFrom(store, blob.digest))?.equals(blob.bytes)
const held: (StoredBlob | undefined)[] = []
for (let count = 0; count < 500; count++) held.push(await store.open(blob.digest))
for (const each of held) each?.release()
now += 31_000
await putAll(store, blobOf('later', 10))
const { readErrors, writeErrors } = await store.stats()
await store.close()
console.log(JSON.stringify({ opened, ingested, reread, held: held.length, readErrors, writeErrors }))
