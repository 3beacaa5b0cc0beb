import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Digest } from '../../src/oci/digest.js'
import { createJournal } from '../../src/store/journal.js'
import { layoutOf } from '../../src/store/layout.js'
import { openMembership } from '../../src/store/membership.js'
import type { Case } from '../case.js'
import { pull } from '../client/client.js'
import { blobWanted } from '../client/wanted.js'
import { bytesOf, KiB, MiB, newBlobs, type Blob } from '../content.js'
import { peakMemoryOf } from '../measure.js'
import { startMirror } from '../servers/mirror.js'
import { ECR_HOST, REPOSITORY } from '../upstream/upstream.js'

/** From the start of the process until it has served one of the blobs in its cache to a client that logged in. */
export const start: Case = {
  name: 'start',
  title: 'Start with 100,000 cached blobs',
  servers: ['mirror'],
  async run(stage) {
    const cache = await stage.newDirectory('full-cache')
    const blobs = newBlobs(stage.sized({ full: 100_000, quick: 100 }), KiB)
    await fill(cache, blobs)
    const [seconds, memory]: [number[], number[]] = [[], []]
    for (let round = 0; round < stage.rounds; round++) {
      stage.signal.throwIfAborted()
      const directory = await stage.newDirectory('mirror')
      const blob = blobs[round]
      if (!blob) throw new Error('There are more rounds than blobs')
      const begun = performance.now()
      const server = await startMirror({ upstream: stage.upstream, node: stage.node, directory }, cache)
      try {
        await pull(server, blobWanted(blob), stage.verify)
        seconds.push((performance.now() - begun) / 1000)
        memory.push(((await peakMemoryOf(server.pid)) ?? 0) / MiB)
      } finally {
        await server.stop()
      }
    }
    return [
      { name: 'first answer', unit: 's', samples: { mirror: seconds }, bars: [{ atMost: 5 }] },
      { name: 'peak memory', unit: 'MiB', samples: { mirror: memory }, bars: [] },
    ]
  },
}

/** Writes a cache directory as a mirror leaves it that has pulled these blobs. */
async function fill(directory: string, blobs: readonly Blob[]): Promise<void> {
  const layout = layoutOf(directory)
  const digests = blobs.map(({ digest }) => digest as Digest)
  const folders = new Set(digests.map(digest => dirname(layout.blob(digest))))
  for (const folder of folders) await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const blob of blobs)
    await writeFile(layout.blob(blob.digest as Digest), bytesOf(blob, 0, blob.size), { mode: 0o600 })
  const journal = createJournal({
    file: layout.membership,
    onTrouble: error => {
      throw error
    },
  })
  const membership = await openMembership({ journal, ttl: 0, staleFor: Number.MAX_SAFE_INTEGER })
  membership.record(membership.mark({ registry: ECR_HOST, repository: REPOSITORY }), digests)
  await membership.settled()
  await membership.close()
}
