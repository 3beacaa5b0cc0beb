import type { StatsFs } from 'node:fs'
import type { Digest } from '../oci/digest.js'
import { CacheTrouble } from './blob-store.js'
import type { DiskIndex } from './disk-index.js'
import { Turns } from './turns.js'

/** What the file system must keep free for others: bytes, or a share of the whole. */
export type MinFree = { readonly bytes: number } | { readonly percent: number }

/** Room that was promised to a file on its way in. */
export interface Reservation {
  /**
   * Makes it room for a file of `size` bytes in all, and for some that may follow where nothing has to go for that.
   * Throws as `reserve` does, and then promises no more than before.
   */
  grow(size: number): Promise<void>
  /** Says that so many bytes more are on the disk now. */
  wrote(bytes: number): void
  /** Gives the room back, or hands it over to what the index counts. Further calls do nothing. */
  end(): void
}

export interface RoomOptions {
  readonly index: DiskIndex
  /** In bytes. */
  readonly maxSize: number
  readonly minFree: MinFree
  readonly space: () => Promise<Pick<StatsFs, 'blocks' | 'bavail' | 'bsize'>>
  readonly evictable: (digest: Digest) => boolean
  /** Removes a blob and gives the bytes that came free. */
  readonly evict: (digest: Digest) => Promise<number>
}

/** What eviction brings the store down to once it was full, so that not every blob has to wait for one. */
const LOW_MARK = 0.95
const BLOCK = 4096
/** A file that grows gets room for as much again, up to this, so that not every write has to ask. In bytes. */
const AHEAD = 16 * 1024 * 1024

/** What was promised to one file, in bytes. */
interface Promised {
  bytes: number
  /** The part that the file system does not know of yet. */
  unwritten: number
  ended: boolean
}

/** Keeps what is stored, and what is on its way in, within the store's size and off the file system's free space. */
export class Room {
  readonly #options: RoomOptions
  readonly #turns = new Turns()
  #reserved = 0
  /** The part of the reserved bytes that the file system does not know of yet. */
  #unwritten = 0
  #relief: Promise<void> | undefined

  constructor(options: RoomOptions) {
    this.#options = options
  }

  /** Bytes promised to files on their way in. */
  get reserved(): number {
    return this.#reserved
  }

  /**
   * Evicts as much as a file of `size` bytes needs, of which `written` are on the disk already. Throws CacheTrouble: EFBIG
   * when it could never fit, ENOSPC when too much is in use just now; or what `space` and `evict` throw.
   */
  async reserve(size: number, written = 0): Promise<Reservation> {
    const promised = { bytes: 0, unwritten: 0, ended: false }
    await this.#promise(promised, size, 0, written)
    return this.#reservation(promised)
  }

  /** When there is more than there may be, evicts down to the low mark. Throws what `space` and `evict` throw. */
  async relieve(): Promise<void> {
    const { free, floor } = await this.#space()
    if (this.#excess(this.#options.maxSize) > 0 || free < floor) this.#startRelief()
    await this.#relief
  }

  /** Resolves when no eviction goes on in the background. */
  async settled(): Promise<void> {
    await this.#relief?.catch(() => undefined)
  }

  /** Promises a file room for `size` bytes in all, and for as much again, up to `ahead`, as far as that is free. */
  async #promise(promised: Promised, size: number, ahead: number, written = 0): Promise<void> {
    const needed = Math.ceil(size / BLOCK) * BLOCK
    const evicted = await this.#turns.take('room', async () => {
      const { free, total, floor } = await this.#space()
      const { maxSize } = this.#options
      if (needed > Math.min(maxSize, total - floor)) throw new CacheTrouble('EFBIG')
      const lacking = Math.max(0, needed - promised.bytes)
      const freed = await this.#evictWhile(
        freed =>
          this.#excess(maxSize - lacking) > 0 || free + freed - this.#unwritten - (lacking - written) < floor,
      )
      if (freed === undefined) throw new CacheTrouble('ENOSPC')
      const spare = Math.min(
        -this.#excess(maxSize) - lacking,
        free + freed - this.#unwritten - floor - (lacking - written),
      )
      const more = lacking + Math.floor(Math.min(needed, ahead, spare) / BLOCK) * BLOCK
      if (promised.ended) return freed
      promised.bytes += more
      promised.unwritten += more - written
      this.#reserved += more
      this.#unwritten += more - written
      return freed
    })
    if (evicted > 0) this.#startRelief()
  }

  #startRelief(): void {
    this.#relief ??= this.#evictToLowMark().finally(() => (this.#relief = undefined))
    this.#relief.catch(() => undefined)
  }

  /** One at a time, so that a file that needs room does not wait for all of it. */
  async #evictToLowMark(): Promise<void> {
    const low = this.#options.maxSize * LOW_MARK
    const evictOne = async (): Promise<boolean> => {
      const { free, floor } = await this.#space()
      if (this.#excess(low) <= 0 && free - this.#unwritten >= floor) return false
      return (await this.#evictOldest()) !== undefined
    }
    while (await this.#turns.take('room', evictOne));
  }

  /** The bytes freed, or undefined when nothing is left that may go. */
  async #evictWhile(needed: (freed: number) => boolean): Promise<number | undefined> {
    let freed = 0
    while (needed(freed)) {
      const more = await this.#evictOldest()
      if (more === undefined) return undefined
      freed += more
    }
    return freed
  }

  async #evictOldest(): Promise<number | undefined> {
    const digest = this.#options.index.oldest(this.#options.evictable)
    return digest === undefined ? undefined : this.#options.evict(digest)
  }

  #excess(limit: number): number {
    return this.#options.index.bytes + this.#reserved - limit
  }

  async #space(): Promise<{ free: number; total: number; floor: number }> {
    const { bavail, blocks, bsize } = await this.#options.space()
    const total = blocks * bsize
    const { minFree } = this.#options
    const floor = 'bytes' in minFree ? minFree.bytes : (total * minFree.percent) / 100
    return { free: bavail * bsize, total, floor }
  }

  #reservation(promised: Promised): Reservation {
    const onDisk = (count: number): void => {
      const known = Math.min(promised.unwritten, count)
      promised.unwritten -= known
      this.#unwritten -= known
    }
    return {
      grow: async size => {
        if (size > promised.bytes) await this.#promise(promised, size, AHEAD)
      },
      wrote: count => {
        if (!promised.ended) onDisk(count)
      },
      end: () => {
        if (promised.ended) return
        promised.ended = true
        onDisk(promised.unwritten)
        this.#reserved -= promised.bytes
      },
    }
  }
}
