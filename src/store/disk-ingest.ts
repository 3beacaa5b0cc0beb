import type { FileHandle } from 'node:fs/promises'
import type { Digest } from '../oci/digest.js'
import type { CacheTrouble, Extent, Ingest, StoredBlob } from './blob-store.js'
import { writeAll } from './durable.js'
import type { FileSystem } from './file-system.js'
import type { Reservation } from './room.js'
import type { Troubles } from './troubles.js'

export interface DiskIngestOptions {
  readonly files: FileSystem
  /** In bytes. */
  readonly size: number
  /** The temporary file, open for reading and writing. */
  readonly handle: FileHandle
  readonly path: string
  readonly reservation: Reservation
  /** Makes the file durable and findable; from then on the handle is the store's. Throws CacheTrouble. */
  readonly publish: (digest: Digest, ingest: DiskIngestOptions) => Promise<StoredBlob>
  /** Moves the file to where it can be resumed; false when there is no room for it. Throws CacheTrouble. */
  readonly keep: (digest: Digest, ingest: DiskIngestOptions, present: readonly Extent[]) => Promise<boolean>
  readonly troubles: Troubles
}

/** A temporary file on its way to become a blob. */
export function diskIngest(options: DiskIngestOptions): Ingest {
  const { files, size, handle, path, reservation, troubles } = options
  let committing: Promise<StoredBlob> | undefined
  let suspended = false
  let over = false
  let lacking: CacheTrouble | undefined
  return {
    size,
    write: async (bytes, position) => {
      try {
        await writeAll(handle, bytes, position)
      } catch (error) {
        lacking = troubles.writing(error)
        throw lacking
      }
      reservation.wrote(bytes.length)
    },
    read: async (buffer, position) => {
      try {
        return (await handle.read(buffer, 0, buffer.length, position)).bytesRead
      } catch (error) {
        throw troubles.reading(error)
      }
    },
    commit: async digest => {
      // Once only: after a failed fsync the system may take pages for written that are not.
      if (over || committing || suspended) throw ended()
      if (lacking) throw lacking
      committing = options.publish(digest, options)
      return committing
    },
    suspend: async (digest, present) => {
      if (over || committing || suspended) throw ended()
      if (lacking) throw lacking
      suspended = true
      return options.keep(digest, options, present)
    },
    discard: async () => {
      if (over) return
      over = true
      const committed = await committing?.then(
        () => true,
        () => false,
      )
      if (committed) return
      // What was suspended is elsewhere by now. What cannot be removed now is removed at the next start.
      await files.unlink(path).catch(() => undefined)
      await handle.close().catch(() => undefined)
      reservation.end()
    },
  }
}

function ended(): Error {
  return new Error('This was committed, suspended or discarded before.')
}
