/**
 * A process that works on a store until it is killed:
 *   writer.js DIRECTORY SEED MAX_SIZE [unsynced-files | unsynced-folders]
 * It says on standard output, before anything depends on it: `ready`, `stored <digest>` once a commit has resolved,
 * `gone <digest>` before a blob's file is removed or moved away, `wrong <digest>` when it read wrong bytes.
 * The last argument leaves out one of the two fsyncs that a commit needs.
 */
import { writeSync } from 'node:fs'
import * as nodeFiles from 'node:fs/promises'
import { parseDigest } from '../../../src/oci/digest.js'
import { openDiskStore } from '../../../src/store/disk-store.js'
import type { FileSystem } from '../../../src/store/file-system.js'
import { blobOf, fetchFrom, putAll, type TestBlob } from './blobs.js'

const [directory = '', seed = '', maxSize = '', mode] = process.argv.slice(2)
const WORKERS = 4

function say(line: string): void {
  writeSync(1, `${line}\n`)
}

function sayGone(path: string): void {
  const [, algorithm, hex] = /\/blobs\/(sha256|sha512)\/..\/([0-9a-f]+)$/.exec(path) ?? []
  const digest = parseDigest(`${algorithm}:${hex}`)
  if (digest) say(`gone ${digest}`)
}

const files: FileSystem = {
  ...nodeFiles,
  open: async (path, flags, mode_) => {
    const handle = await nodeFiles.open(path, flags, mode_)
    const unsynced = String(path).includes('/ingest/') ? 'unsynced-files' : 'unsynced-folders'
    if (mode === unsynced) handle.sync = async () => undefined
    return handle
  },
  unlink: async path => {
    sayGone(String(path))
    await nodeFiles.unlink(path)
  },
  rename: async (from, to) => {
    sayGone(String(from))
    await nodeFiles.rename(from, to)
  },
}

/** A generator of its own, so that a seed says what is done. */
let state = Number(seed) >>> 0
function below(limit: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * limit)
}

const store = await openDiskStore({ directory, maxSize: Number(maxSize), minFree: { bytes: 0 } }, files)
say('ready')

const interrupted = blobOf('interrupted', 60_000)

/** Writes a third more of a blob, and stores it once it is all there. */
async function goOn(): Promise<void> {
  const { bytes, digest } = interrupted
  const { ingest, present } = (await store.resume(digest)) ?? {
    ingest: await store.ingest(bytes.length),
    present: [],
  }
  const start = (present.at(-1)?.last ?? -1) + 1
  const end = start + bytes.length / 3
  const found = Buffer.alloc(start)
  await ingest.read(found, 0)
  if (found.compare(bytes, 0, start) !== 0) say(`wrong ${digest}`)
  await ingest.write(bytes.subarray(start, end), start)
  if (end < bytes.length) await ingest.suspend(digest, [{ first: 0, last: end - 1 }])
  else {
    ;(await ingest.commit(digest)).release()
    say(`stored ${digest}`)
  }
  await ingest.discard()
}

async function work(): Promise<void> {
  const own: TestBlob[] = []
  for (;;) {
    const known = own[below(own.length)]
    const what = below(20)
    if (what === 0 && known) await store.remove(known.digest)
    else if (what === 1 && known) await store.setAside(known.digest)
    else if (what < 5 && known) {
      const bytes = await fetchFrom(store, known.digest)
      if (bytes && bytes.compare(known.bytes) !== 0) say(`wrong ${known.digest}`)
    } else if (what === 6) await goOn()
    else if (what === 5) {
      const ingest = await store.ingest(50_000)
      await ingest.write(blobOf(0, 20_000).bytes, 0)
      await ingest.discard()
    } else {
      const blob =
        what === 7 && known ? known : blobOf(below(2 ** 31), below(4) === 0 ? below(200_000) : below(9000))
      await putAll(store, blob)
      say(`stored ${blob.digest}`)
      if (own.push(blob) > 30) own.shift()
    }
  }
}

await Promise.all(Array.from({ length: WORKERS }, work))
