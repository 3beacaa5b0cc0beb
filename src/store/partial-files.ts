import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Digest } from '../oci/digest.js'
import { syncDirectory, writeAll } from './durable.js'
import { hasCode, type FileSystem } from './file-system.js'
import type { Layout } from './layout.js'
import { readRecord, recordBytes, type PartialRecord } from './partial-record.js'
import { allocatedBytes, openRegular } from './regular-file.js'

export interface PartialFilesOptions {
  readonly files: FileSystem
  readonly layout: Layout
  /** The time in milliseconds since 1970. */
  readonly clock: () => number
  /** What all of them may take of the disk, in bytes. */
  readonly maxBytes: number
}

/** A temporary file with some of a blob's bytes, open for reading and writing. */
export interface PartialFile extends PartialRecord {
  readonly handle: FileHandle
  readonly path: string
}

const MAX_FILES = 64
/** In milliseconds, from when it was kept. */
const MAX_AGE = 24 * 3_600_000

/** The files of interrupted downloads, one for a digest. They change hands by being renamed. */
export class PartialFiles {
  readonly #options: PartialFilesOptions

  constructor(options: PartialFilesOptions) {
    this.#options = options
  }

  /**
   * Keeps a temporary file, durably, in place of an older one of the digest. False when it takes more than all of them
   * may. Throws the system's error; then, too, the file is still the caller's.
   */
  async keep(digest: Digest, { handle, path, size, present }: PartialFile): Promise<boolean> {
    const { files, layout, clock, maxBytes } = this.#options
    if (allocatedBytes(await handle.stat({ bigint: true })) > maxBytes) return false
    await writeAll(handle, recordBytes({ size, present }), size)
    const now = clock() / 1000
    await handle.utimes(now, now)
    await handle.sync()
    await files.rename(path, layout.suspended(digest))
    try {
      await syncDirectory(files, layout.partial)
    } catch (error) {
      await files.unlink(layout.suspended(digest)).catch(() => undefined)
      throw error
    }
    await this.thinOut()
    return true
  }

  /**
   * Makes what was kept of a blob the caller's own temporary file again. One whose record is missing or does not fit is
   * removed. Throws the system's error; then nothing is kept any more.
   */
  async take(digest: Digest): Promise<PartialFile | undefined> {
    const { files, layout } = this.#options
    const path = layout.temporary()
    try {
      await files.rename(layout.suspended(digest), path)
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined
      throw error
    }
    let taken: PartialFile | undefined
    try {
      taken = await openPartial(files, path)
      return taken
    } finally {
      if (!taken) await files.rm(path, { recursive: true, force: true })
    }
  }

  /** Removes all but the newest, and what is too old. What cannot be removed now is removed next time. */
  async thinOut(): Promise<void> {
    const { files, layout, clock, maxBytes } = this.#options
    const found: { path: string; bytes: number; keptAt: number }[] = []
    for (const name of await files.readdir(layout.partial).catch(() => [])) {
      const path = join(layout.partial, name)
      const stat = await files.lstat(path, { bigint: true }).catch(() => undefined)
      if (stat) found.push({ path, bytes: allocatedBytes(stat), keptAt: Number(stat.mtimeMs) })
    }
    found.sort((a, b) => b.keptAt - a.keptAt)
    const oldest = clock() - MAX_AGE
    let sum = 0
    for (const [position, { path, bytes, keptAt }] of found.entries()) {
      sum += bytes
      if (position < MAX_FILES && sum <= maxBytes && keptAt >= oldest) continue
      await files.rm(path, { recursive: true, force: true }).catch(() => undefined)
    }
  }
}

/** Without its record, which would be in the way of the blob's end. Undefined when it has none that fits. */
async function openPartial(files: FileSystem, path: string): Promise<PartialFile | undefined> {
  const opened = await openRegular(files, path, { flags: constants.O_RDWR })
  if (opened === undefined || opened === 'other') return undefined
  const { handle, stat } = opened
  let partial: PartialFile | undefined
  try {
    const record = await readRecord(handle, Number(stat.size))
    if (!record) return undefined
    await handle.truncate(record.size)
    partial = { ...record, handle, path }
    return partial
  } finally {
    if (!partial) await handle.close()
  }
}
