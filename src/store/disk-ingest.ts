import type { FileHandle } from 'node:fs/promises'
import type { Digest } from '../oci/digest.js'
import { CacheTrouble, type Extent, type Ingest, type StoredBlob } from './blob-store.js'
import { writeAll } from './durable.js'
import type { FileSystem } from './file-system.js'
import type { Reservation } from './room.js'
import type { Troubles } from './troubles.js'

export interface DiskIngestOptions {
  readonly files: FileSystem
  /** In bytes; undefined when that is not known before the end. */
  readonly size: number | undefined
  /** The temporary file, open for reading and writing. */
  readonly handle: FileHandle
  readonly path: string
  readonly reservation: Reservation
  /** Makes the file durable and findable; from then on the handle is the store's. Throws CacheTrouble. */
  readonly publish: (digest: Digest, size: number, ingest: DiskIngestOptions) => Promise<StoredBlob>
  /** Moves the file to where it can be resumed; false when there is no room for it. Throws CacheTrouble. */
  readonly keep: (
    digest: Digest,
    size: number,
    ingest: DiskIngestOptions,
    present: readonly Extent[],
  ) => Promise<boolean>
  readonly troubles: Troubles
}

/** A temporary file on its way to become a blob. */
export function diskIngest(options: DiskIngestOptions): Ingest {
  const { files, handle, path, reservation, troubles } = options
  let size = options.size ?? 0
  let committing: Promise<StoredBlob> | undefined
  let suspended = false
  let over = false
  let lacking: CacheTrouble | undefined
  return {
    get size() {
      return size
    },
    write: async (bytes, position) => {
      const end = position + bytes.length
      try {
        if (options.size === undefined) await reservation.grow(end)
        if (over) throw new CacheTrouble('ECANCELED')
        await writeAll(handle, bytes, position)
      } catch (error) {
        // What fails because the file was given up says nothing about the disk.
        lacking = over ? new CacheTrouble('ECANCELED', { cause: error }) : troubles.writing(error)
        throw lacking
      }
      if (options.size === undefined) size = Math.max(size, end)
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
      committing = options.publish(digest, size, options)
      return committing
    },
    suspend: async (digest, present) => {
      if (over || committing || suspended) throw ended()
      if (lacking) throw lacking
      suspended = true
      return options.keep(digest, size, options, present)
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
