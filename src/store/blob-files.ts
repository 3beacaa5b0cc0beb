import type { BigIntStats } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { fitsSize, type Digest } from '../oci/digest.js'
import type { OpenOptions, StoredBlob } from './blob-store.js'
import type { DiskIndex } from './disk-index.js'
import { codeOf, hasCode, type FileSystem } from './file-system.js'
import { Folders } from './folders.js'
import { heldBlob } from './held-blob.js'
import type { Layout } from './layout.js'
import { quarantine } from './quarantine.js'
import { allocatedBytes, identityOf, openRegular } from './regular-file.js'
import type { StoreLog } from './store-log.js'
import { StoredFile } from './stored-file.js'
import type { Troubles } from './troubles.js'
import { Turns } from './turns.js'

export interface BlobFilesOptions {
  readonly files: FileSystem
  readonly layout: Layout
  readonly index: DiskIndex
  readonly troubles: Troubles
  readonly log: StoreLog | undefined
  /** The time in milliseconds since 1970. */
  readonly clock: () => number
  /** In bytes. */
  readonly maxQuarantine: number
}

/** How often, at most, a use of a blob is noted on the disk: its order is to survive a restart, roughly. */
const TOUCH_AFTER = 3_600_000

/**
 * The files that lie under their digests. What is done to one digest's file is done in turn, so that none finds it
 * half-way; the path is the truth, and the index and the open files follow it. Throws the system's errors.
 */
export class BlobFiles {
  readonly #options: BlobFilesOptions
  readonly #folders: Folders
  readonly #turns = new Turns()
  /** The files that are held, as they are found under their digests. */
  readonly #held = new Map<Digest, StoredFile>()
  /** The file behind each hold. */
  readonly #lent = new WeakMap<StoredBlob, StoredFile>()
  /** Files that are being opened; who wants one of them meanwhile joins it then. */
  readonly #openings = new Map<Digest, Promise<StoredBlob | undefined>>()
  /** Bad blobs that could not be moved away. */
  readonly #condemned = new Set<Digest>()

  constructor(options: BlobFilesOptions) {
    this.#options = options
    this.#folders = new Folders(options.files, options.layout)
  }

  /** Whether a blob's file is held, or something is being done to it. */
  inUse(digest: Digest): boolean {
    return this.#held.has(digest) || this.#turns.busy(digest)
  }

  async open(digest: Digest, { use = true }: OpenOptions = {}): Promise<StoredBlob | undefined> {
    if (this.#condemned.has(digest)) return undefined
    for (;;) {
      const joined = await this.#join(digest, use)
      if (joined) return joined
      const opening = this.#openings.get(digest)
      if (!opening) return this.#openFirst(digest, use)
      if (!(await opening)) return undefined
    }
  }

  /** Puts a synced file in its digest's place; an older one that is known to be good stays instead. */
  async put(digest: Digest, handle: FileHandle, path: string, onPlaced: () => void): Promise<StoredBlob> {
    return this.#turns.take(digest, async () => {
      if (await this.#isGood(digest)) await this.#options.files.unlink(path)
      else await this.#moveIn(digest, path)
      const stat = await handle.stat({ bigint: true })
      const file = this.#hold(digest, handle)
      onPlaced()
      if (stat.nlink > 0n) {
        this.#held.set(digest, file)
        this.#condemned.delete(digest)
        this.#options.index.use(digest, sizesOf(stat))
        this.#options.index.markVerified(digest, identityOf(stat))
      }
      return this.#blob(digest, file, stat, true)
    })
  }

  /** False when there was none. */
  async remove(digest: Digest): Promise<boolean> {
    return this.#turns.take(digest, async () => {
      try {
        await this.#options.files.unlink(this.#options.layout.blob(digest))
        return true
      } catch (error) {
        if (!hasCode(error, 'ENOENT', 'ENOTDIR')) throw error
        return false
      } finally {
        this.#forget(digest)
      }
    })
  }

  /** Gives the bytes that came free. */
  async evict(digest: Digest): Promise<number> {
    const { index, files, layout } = this.#options
    return this.#turns.take(digest, async () => {
      const bytes = index.forget(digest)
      try {
        await files.unlink(layout.blob(digest))
      } catch (error) {
        if (hasCode(error, 'ENOENT')) return bytes
        // As the newest, so that the next attempt takes another one.
        index.use(digest, { size: 0, allocated: bytes })
        throw error
      }
      return bytes
    })
  }

  /**
   * Puts a bad blob aside, or, with `seen`, only the file that is seen through it; false when that does not lie there.
   * What cannot be moved is not looked at any more.
   */
  async setAside(digest: Digest, seen?: StoredBlob): Promise<boolean> {
    return this.#turns.take(digest, async () => {
      if (seen && !(await this.#leadsTo(digest, seen))) return false
      return this.#moveAside(digest)
    })
  }

  /** A further hold on a file that is held already, unless it is no longer what its digest leads to. */
  async #join(digest: Digest, use: boolean): Promise<StoredBlob | undefined> {
    const file = this.#held.get(digest)
    if (!file) return undefined
    file.hold()
    try {
      const stat = await file.stat()
      const fits = fitsSize(digest, Number(stat.size))
      if (fits && stat.nlink > 0n && this.#held.get(digest) === file)
        return await this.#lend(digest, file, stat, use)
    } catch (error) {
      file.release()
      throw error
    }
    file.release()
    return undefined
  }

  async #openFirst(digest: Digest, use: boolean): Promise<StoredBlob | undefined> {
    const opening = this.#turns.take(digest, () => this.#openFile(digest, use))
    this.#openings.set(digest, opening)
    try {
      return await opening
    } finally {
      this.#openings.delete(digest)
    }
  }

  async #openFile(digest: Digest, use: boolean): Promise<StoredBlob | undefined> {
    const { files, layout } = this.#options
    const opened = await openRegular(files, layout.blob(digest), { access: use })
    if (opened === undefined) {
      this.#forget(digest)
      return undefined
    }
    // What a power cut leaves of a file is often nothing.
    if (opened === 'other' || !fitsSize(digest, Number(opened.stat.size))) {
      if (opened !== 'other') await opened.handle.close()
      await this.#moveAside(digest)
      return undefined
    }
    const file = this.#hold(digest, opened.handle)
    this.#held.set(digest, file)
    return await this.#lend(digest, file, opened.stat, use)
  }

  #hold(digest: Digest, handle: FileHandle): StoredFile {
    const file = new StoredFile(handle, idle => {
      if (this.#held.get(digest) === idle) this.#held.delete(digest)
    })
    file.hold()
    return file
  }

  async #lend(digest: Digest, file: StoredFile, found: BigIntStats, use: boolean): Promise<StoredBlob> {
    if (!use) return this.#blob(digest, file, found, false)
    const stat = await this.#touch(digest, file, found)
    if (this.#held.get(digest) === file) this.#options.index.use(digest, sizesOf(stat))
    return this.#blob(digest, file, stat, false)
  }

  #blob(digest: Digest, file: StoredFile, stat: BigIntStats, verified: boolean): StoredBlob {
    const { index, troubles } = this.#options
    const blob = heldBlob({
      file,
      size: Number(stat.size),
      isVerified: () => verified || index.verifiedAs(digest) === identityOf(stat),
      markVerified: () => {
        verified = true
        if (this.#held.get(digest) === file) index.markVerified(digest, identityOf(stat))
      },
      trouble: troubles.reading,
    })
    this.#lent.set(blob, file)
    return blob
  }

  /** Whether the digest leads to the file that `seen` holds; as long as that is open, no other has its inode. */
  async #leadsTo(digest: Digest, seen: StoredBlob): Promise<boolean> {
    const { files, layout } = this.#options
    try {
      const [there, held] = await Promise.all([
        files.lstat(layout.blob(digest), { bigint: true }),
        this.#lent.get(seen)?.stat(),
      ])
      return there.dev === held?.dev && there.ino === held.ino
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false
      throw error
    }
  }

  /** Notes the use on the disk when that was not done for long. It changes ctime, but not what was verified. */
  async #touch(digest: Digest, { handle }: StoredFile, found: BigIntStats): Promise<BigIntStats> {
    const { clock, index } = this.#options
    const now = clock()
    if (now - Number(found.atimeMs) < TOUCH_AFTER) return found
    try {
      await handle.utimes(now / 1000, Number(found.mtimeNs) / 1e9)
      const touched = await handle.stat({ bigint: true })
      if (index.verifiedAs(digest) === identityOf(found)) index.markVerified(digest, identityOf(touched))
      return touched
    } catch {
      // A read-only disk keeps no order.
      return found
    }
  }

  /** Whether the same blob is in its place already, verified and unchanged since. */
  async #isGood(digest: Digest): Promise<boolean> {
    const { files, layout, index } = this.#options
    const verifiedAs = index.verifiedAs(digest)
    if (verifiedAs === undefined || this.#condemned.has(digest)) return false
    const there = await openRegular(files, layout.blob(digest))
    if (there === undefined || there === 'other') return false
    await there.handle.close()
    return identityOf(there.stat) === verifiedAs
  }

  async #moveIn(digest: Digest, path: string): Promise<void> {
    try {
      await this.#folders.moveIn(path, digest)
    } catch (error) {
      if (!hasCode(error, 'EISDIR', 'ENOTEMPTY', 'EEXIST')) throw error
      // Somebody put a directory where the file belongs.
      await this.#moveAside(digest)
      await this.#folders.moveIn(path, digest)
    }
  }

  /** False when nothing lay there. */
  async #moveAside(digest: Digest): Promise<boolean> {
    const { files, layout, clock, maxQuarantine, log } = this.#options
    this.#forget(digest)
    try {
      const moved = await quarantine(files, layout, digest, clock(), maxQuarantine)
      if (moved) log?.warn({ digest }, 'A cached blob was bad and was set aside.')
      return moved
    } catch (error) {
      this.#condemned.add(digest)
      log?.warn({ digest, code: codeOf(error) }, 'A cached blob was bad and could not be set aside.')
      return true
    }
  }

  #forget(digest: Digest): void {
    this.#held.delete(digest)
    this.#options.index.forget(digest)
  }
}

function sizesOf(stat: BigIntStats): { size: number; allocated: number } {
  return { size: Number(stat.size), allocated: allocatedBytes(stat) }
}
