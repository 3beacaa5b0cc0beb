import type { Extent } from './blob-store.js'

/** Bytes that are still missing, from `first` to `last`, both inclusive; `first` moves on as they arrive. */
export interface Part {
  readonly first: number
  readonly last: number
}

interface Missing {
  first: number
  last: number
  /** Somebody is fetching it. */
  taken: boolean
}

/** Which bytes of a blob are there, on their way, or nobody's yet. It keeps what is missing, which is a short list. */
export class PartTable {
  readonly size: number
  readonly #missing: Missing[]
  #received: number

  /** For a blob of `size` bytes, of which those in `present` are there; they are in order and apart. */
  constructor(size: number, present: readonly Extent[] = []) {
    this.size = size
    this.#missing = between(present, size).map(gap => ({ ...gap, taken: false }))
    this.#received = size - bytesIn(this.#missing)
  }

  /** What is there, in order and apart. */
  get present(): Extent[] {
    return between(this.#missing, this.size)
  }

  /** The first bytes that are missing, in one piece; undefined when all are there. */
  get firstGap(): Extent | undefined {
    return this.#missing[0]
  }

  /** How many bytes are there. */
  get received(): number {
    return this.#received
  }

  /** How many are there from the first byte on without a gap. */
  get mark(): number {
    return this.readableTo(0)
  }

  /** The end (exclusive) of what is there from `position` on without a gap; `position` itself when nothing is. */
  readableTo(position: number): number {
    const next = this.#missing.find(({ last }) => last >= position)
    return Math.max(next?.first ?? this.size, position)
  }

  /** Whether the byte is missing and nobody fetches it. */
  isOpen(position: number): boolean {
    return this.#missing.some(({ first, last, taken }) => !taken && first <= position && position <= last)
  }

  /** Takes the first part that is missing, up to `last`, of a table of which nothing was taken. */
  takeFirst(last: number): Part | undefined {
    const gap = this.firstGap
    return gap && this.#cut(gap.first, last)
  }

  /**
   * Takes what is nearest ahead of a wanted position, or else the first that is nobody's: `partSize` bytes, or up to a
   * quarter more where a crumb would be left over. Undefined when all is there or taken.
   */
  take(wanted: Iterable<number>, partSize: number): Part | undefined {
    // Readers elsewhere must not crumble the blob into ever smaller requests.
    const grain = Math.min(partSize, 1024 * 1024)
    let nearest = { start: -1, distance: Infinity }
    for (const position of wanted) {
      const gap = this.#missing.find(({ last, taken }) => !taken && last >= position)
      if (!gap) continue
      const distance = Math.max(0, gap.first - position)
      if (distance >= nearest.distance) continue
      nearest = { start: Math.max(gap.first, position - (position % grain)), distance }
    }
    const start = nearest.start >= 0 ? nearest.start : this.#missing.find(({ taken }) => !taken)?.first
    if (start === undefined) return undefined
    const gapLast =
      this.#missing.find(({ first, last, taken }) => !taken && first <= start && last >= start)?.last ?? start
    const left = gapLast - start + 1
    return this.#cut(start, left <= partSize * 1.25 ? gapLast : start + partSize - 1)
  }

  /** The next `count` bytes of a taken part are there. */
  advance(part: Part, count: number): void {
    const index = this.#missing.findIndex(missing => missing === part)
    const missing = this.#missing[index]
    if (!missing?.taken || count > missing.last - missing.first + 1) {
      throw new RangeError('These bytes are not of this part.')
    }
    missing.first += count
    this.#received += count
    if (missing.first > missing.last) this.#missing.splice(index, 1)
  }

  #cut(first: number, last: number): Part | undefined {
    const index = this.#missing.findIndex(gap => !gap.taken && gap.first <= first && first <= gap.last)
    const gap = this.#missing[index]
    if (!gap) return undefined
    const part = { first, last: Math.min(last, gap.last), taken: true }
    const pieces: Missing[] = [{ ...gap, last: first - 1 }, part, { ...gap, first: part.last + 1 }]
    this.#missing.splice(index, 1, ...pieces.filter(piece => piece.first <= piece.last))
    return part
  }
}

/** How many bytes these are. */
export function bytesIn(extents: Iterable<Extent>): number {
  let bytes = 0
  for (const { first, last } of extents) bytes += last - first + 1
  return bytes
}

/** What of `size` bytes is in none of the extents, which are in order; those that touch have nothing between them. */
function between(extents: readonly Extent[], size: number): Extent[] {
  const gaps: Extent[] = []
  let first = 0
  for (const extent of extents) {
    if (extent.first > first) gaps.push({ first, last: extent.first - 1 })
    first = extent.last + 1
  }
  if (first < size) gaps.push({ first, last: size - 1 })
  return gaps
}
