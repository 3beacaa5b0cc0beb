import type { StatsFs } from 'node:fs'
import type { Digest } from '../oci/digest.js'
import { Budget } from '../budget.js'
import { Shares } from '../shares.js'
import { CacheTrouble, type Unfinished } from './blob-store.js'
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
  /** Milliseconds that never go back. */
  readonly clock?: () => number
}

export interface ReserveOptions {
  /** How much of it is on the disk already, in bytes. */
  readonly written?: number
  /** What of it is given up when others need its room. */
  readonly unfinished?: Unfinished | undefined
}

/** What eviction brings the store down to once it was full, so that not every blob has to wait for one. */
const LOW_MARK = 0.95
const BLOCK = 4096
/** Of all there may be, what is unfinished may take. */
const SHARE_OF_UNFINISHED = 0.5
/** How long what is unfinished may not grow before it goes rather than anything that is stored, in milliseconds. */
const STALLED = 60_000
/** A file that grows gets room for as much again, up to this, so that not every write has to ask. In bytes. */
const AHEAD = 16 * 1024 * 1024

/** What was promised to one file, in bytes. */
interface Promised {
  bytes: number
  /** The part that the file system does not know of yet. */
  unwritten: number
  ended: boolean
  readonly unfinished: Unfinished | undefined
  /** When it asked for room last. */
  grownAt: number
}

/**
 * Keeps what is stored, and what is on its way in, within the store's size and off the file system's free space. What is
 * unfinished has half of it at most, of which each client has a share, and makes way for everything else: where it does
 * not grow any more before what is stored has to, and otherwise before something finds no room.
 */
export class Room {
  readonly #options: RoomOptions
  readonly #clock: () => number
  readonly #shares: Shares
  /** Whatever has grown last is the last. */
  readonly #unfinished = new Set<Promised>()
  readonly #turns = new Turns()
  #reserved = 0
  /** The part of the reserved bytes that the file system does not know of yet. */
  #unwritten = 0
  #relief: Promise<void> | undefined

  constructor(options: RoomOptions) {
    this.#options = options
    this.#clock = options.clock ?? (() => performance.now())
    this.#shares = new Shares(new Budget(options.maxSize * SHARE_OF_UNFINISHED), BLOCK)
  }

  /** Bytes promised to files on their way in. */
  get reserved(): number {
    return this.#reserved
  }

  /**
   * Evicts as much as a file of `size` bytes needs, of which `written` are on the disk already. Throws CacheTrouble: EFBIG
   * when it could never fit, ENOSPC when too much is in use just now, EDQUOT when it would be more than the share of what
   * is unfinished; or what `space` and `evict` throw.
   */
  async reserve(size: number, { written = 0, unfinished }: ReserveOptions = {}): Promise<Reservation> {
    const promised = { bytes: 0, unwritten: 0, ended: false, unfinished, grownAt: this.#clock() }
    try {
      await this.#promise(promised, size, 0, written)
    } catch (error) {
      this.#unfinished.delete(promised)
      throw error
    }
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
      // It may have been given up while it waited.
      if (isOver(promised)) return 0
      this.#touch(promised)
      const lacking = Math.max(0, needed - promised.bytes)
      if (!this.#takeShare(promised, lacking)) throw new CacheTrouble('EDQUOT')
      try {
        const { freed, spare } = await this.#makeRoom(promised, needed, lacking, written)
        if (isOver(promised)) {
          this.#giveBackShare(promised, lacking)
          return freed
        }
        const wanted = Math.floor(Math.min(needed, ahead, spare) / BLOCK) * BLOCK
        const more = lacking + (this.#takeShare(promised, wanted) ? wanted : 0)
        this.#add(promised, more, written)
        return freed
      } catch (error) {
        this.#giveBackShare(promised, lacking)
        throw error
      }
    })
    if (evicted > 0) this.#startRelief()
  }

  /** The bytes that were freed for it, and what may be had besides with nothing more to go for that. */
  async #makeRoom(
    { unfinished }: Promised,
    needed: number,
    lacking: number,
    written: number,
  ): Promise<{ readonly freed: number; readonly spare: number }> {
    const { free, total, floor } = await this.#space()
    const { maxSize } = this.#options
    if (needed > Math.min(maxSize, total - floor)) throw new CacheTrouble('EFBIG')
    const freed = await this.#evictWhile(
      freed =>
        this.#excess(maxSize - lacking) > 0 || free + freed - this.#unwritten - (lacking - written) < floor,
      unfinished === undefined,
    )
    if (freed === undefined) throw new CacheTrouble('ENOSPC')
    const spare = Math.min(
      -this.#excess(maxSize) - lacking,
      free + freed - this.#unwritten - floor - (lacking - written),
    )
    return { freed, spare }
  }

  #add(promised: Promised, more: number, written: number): void {
    promised.bytes += more
    promised.unwritten += more - written
    this.#reserved += more
    this.#unwritten += more - written
  }

  #touch(promised: Promised): void {
    if (!promised.unfinished) return
    promised.grownAt = this.#clock()
    this.#unfinished.delete(promised)
    this.#unfinished.add(promised)
  }

  #takeShare({ unfinished }: Promised, bytes: number): boolean {
    return unfinished === undefined || this.#shares.take(unfinished.client, bytes)
  }

  #giveBackShare({ unfinished }: Promised, bytes: number): void {
    if (unfinished) this.#shares.giveBack(unfinished.client, bytes)
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

  /** The bytes freed, or undefined when nothing is left that may go; with `all` also what is unfinished and grows. */
  async #evictWhile(needed: (freed: number) => boolean, all: boolean): Promise<number | undefined> {
    let freed = 0
    while (needed(freed)) {
      const more = (await this.#evictOldest()) ?? (all ? await this.#giveUpOldest(-Infinity) : undefined)
      if (more === undefined) return undefined
      freed += more
    }
    return freed
  }

  /** What is unfinished and stalls goes before what is stored. */
  async #evictOldest(): Promise<number | undefined> {
    const stalled = await this.#giveUpOldest(STALLED)
    if (stalled !== undefined) return stalled
    const digest = this.#options.index.oldest(this.#options.evictable)
    return digest === undefined ? undefined : this.#options.evict(digest)
  }

  /** The bytes freed, or undefined when nothing that is unfinished has not grown for so long, in milliseconds. */
  async #giveUpOldest(stalledFor: number): Promise<number | undefined> {
    const [oldest] = this.#unfinished
    if (!oldest?.unfinished || this.#clock() - oldest.grownAt < stalledFor) return undefined
    this.#unfinished.delete(oldest)
    const written = oldest.bytes - oldest.unwritten
    return (await oldest.unfinished.giveUp()) ? written : 0
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
        this.#unfinished.delete(promised)
        this.#giveBackShare(promised, promised.bytes)
      },
    }
  }
}

/** Whether it was ended, maybe while something was waited for. */
function isOver({ ended }: Promised): boolean {
  return ended
}
