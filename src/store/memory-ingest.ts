import type { Digest } from '../oci/digest.js'
import { CacheTrouble, type Extent, type Ingest, type StoredBlob } from './blob-store.js'

/**
 * A small blob on its way in, held in memory, so that its readers wait for no disk: all of it goes to the ingest that
 * `begin` gives, which is asked for one when this is committed or suspended.
 */
export function memoryIngest(size: number, begin: () => Promise<Ingest>): Ingest {
  const held = Buffer.alloc(size)
  let ingest: Promise<Ingest> | undefined
  let over = false

  async function handOver(extents: readonly Extent[]): Promise<Ingest> {
    if (over || ingest) throw new Error('This was committed, suspended or discarded before.')
    ingest = begin()
    const taking = await ingest
    for (const { first, last } of extents) await taking.write(held.subarray(first, last + 1), first)
    return taking
  }

  return {
    size,
    write: async (bytes, position) => {
      if (over) throw new CacheTrouble('ECANCELED')
      held.set(bytes, position)
    },
    read: async (buffer, position) => {
      const part = held.subarray(position, position + buffer.length)
      buffer.set(part)
      return part.length
    },
    commit: async (digest: Digest): Promise<StoredBlob> =>
      (await handOver(size > 0 ? [{ first: 0, last: size - 1 }] : [])).commit(digest),
    suspend: async (digest, present) => (await handOver(present)).suspend(digest, present),
    discard: async () => {
      over = true
      // One that could not be begun has nothing to give up.
      await ingest?.then(
        taking => taking.discard(),
        () => undefined,
      )
    },
  }
}
