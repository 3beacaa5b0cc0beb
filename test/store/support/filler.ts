/**
 * A process that fills a cache until it is killed, and leaves most downloads in between: filler.js DIRECTORY SEED. It
 * says on standard output `stored <digest>` once a blob was read whole and is stored, `wrong <digest>` when it read
 * wrong bytes.
 */
import { writeSync } from 'node:fs'
import { createBlobCache } from '../../../src/store/blob-cache.js'
import { openDiskStore } from '../../../src/store/disk-store.js'
import type { BlobSource } from '../../../src/store/blob-source.js'
import { blobOf, type TestBlob } from './blobs.js'
import { MemorySource } from './memory-source.js'

const [directory = '', seed = ''] = process.argv.slice(2)
const SIZE = 400_000
const PIECE = 8 * 1024
const never = new AbortController().signal

function say(line: string): void {
  writeSync(1, `${line}\n`)
}

/** Gives a blob piece by piece, so that a reader can leave in between. */
function sourceOf({ bytes }: TestBlob): BlobSource {
  const source = new MemorySource({ bytes, manual: true })
  const timer = setInterval(() => {
    for (const stream of source.live) source.give(stream, PIECE)
  }, 1)
  timer.unref()
  return source
}

const store = await openDiskStore({ directory, maxSize: 1 << 30, minFree: { bytes: 0 } })
const cache = createBlobCache({
  store,
  verify: 'first',
  parts: 2,
  partSize: 64 * 1024,
  idleFill: 0,
  // None goes on for nobody.
  keepAbove: 2,
  onEvent: event => {
    if (event.kind === 'fill completed') say(`stored ${event.digest}`)
    if (event.kind === 'mismatch') say(`wrong ${event.digest}`)
  },
})

async function work(worker: number): Promise<void> {
  for (let turn = 0; ; turn++) {
    const blob = blobOf(`${seed}-${worker}-${turn}`, SIZE)
    const source = sourceOf(blob)
    for (let end = SIZE / 4; ; end += SIZE / 4) {
      const lease = await cache.lease(blob.digest, source, never)
      const buffer = Buffer.alloc(PIECE)
      let position = 0
      for (let count = -1; count !== 0 && position < end; position += count) {
        count = await lease.read(buffer, position, true, never)
        if (buffer.compare(blob.bytes, position, position + count, 0, count) !== 0)
          say(`wrong ${blob.digest}`)
      }
      lease.release()
      // It begins again while the download is being given up, or once what came of it is kept.
      await new Promise(resolve => setTimeout(resolve, turn % 2 === 0 ? 5 : 50))
      if (position === SIZE) break
    }
  }
}

await Promise.all([1, 2, 3].map(work))
