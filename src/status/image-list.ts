import type { CachedImage } from '../store/images.js'
import type { Scope } from '../store/scope.js'
import type { NamedPlace } from './place.js'
import { imageKey } from './wanted.js'

/** An image as the page lists it; sizes in bytes. */
export interface ListedImage extends NamedPlace {
  /** As clients write it after the mirror's address. */
  readonly name: string
  readonly reference: string
  readonly digest: string
  readonly size: number
  /** Such as `linux/arm64`; empty where nothing tells it. */
  readonly platforms: readonly string[]
  /** Whether every variant could be pulled while the upstream is away; some may be. */
  readonly complete: 'all' | 'some' | 'none'
}

/** The images as they were found last. */
export interface ImageList {
  /** The largest first. */
  readonly images: readonly ListedImage[]
  /** Of them that were left out, since there are too many. */
  readonly leftOut: number
  /** When the look was over, in milliseconds since 1970. */
  readonly at: number
}

export interface ImageListsOptions {
  /** Looks at every image, one after the other, until the signal aborts. */
  readonly look: (signal: AbortSignal) => AsyncIterable<CachedImage>
  /** Undefined for an image of an upstream that is configured no more. */
  readonly placeOf: (scope: Scope) => NamedPlace | undefined
  readonly now: () => number
  /** Images that are kept at most. */
  readonly max?: number
  /** The least time from the end of one look to the beginning of the next, in milliseconds. */
  readonly every?: number
}

/** A look may take this share of the time, however many images there are. */
const SHARE = 0.1

/**
 * Which images are cached. To tell, every manifest is read, so it is told by a look in the background, which is begun
 * when somebody asks and the last one is old, and never waited for.
 */
export class ImageLists {
  readonly #options: Required<ImageListsOptions>
  #list: ImageList | undefined
  #looking: Promise<void> | undefined
  /** Before this none is begun. */
  #next = 0
  readonly #closed = new AbortController()

  constructor({ max = 20_000, every = 15_000, ...options }: ImageListsOptions) {
    this.#options = { max, every, ...options }
  }

  /** What was found last; undefined when nothing was looked at yet. Begins a look where one is due. */
  latest(): ImageList | undefined {
    if (!this.#closed.signal.aborted && !this.#looking && this.#options.now() >= this.#next) {
      this.#looking = this.#look()
        .catch(() => undefined)
        .finally(() => (this.#looking = undefined))
    }
    return this.#list
  }

  /** Resolves when no look goes on. */
  async settled(): Promise<void> {
    await this.#looking
  }

  async close(): Promise<void> {
    this.#closed.abort()
    await this.#looking
  }

  async #look(): Promise<void> {
    const { look, placeOf, now, max, every } = this.#options
    const began = now()
    const images: ListedImage[] = []
    let leftOut = 0
    try {
      for await (const image of look(this.#closed.signal)) {
        if (this.#closed.signal.aborted) return
        const place = placeOf(image.scope)
        if (!place) continue
        if (images.length < max) images.push(listed(image, place))
        else leftOut++
      }
      images.sort((a, b) => b.size - a.size || (a.name < b.name ? -1 : 1))
      this.#list = { images, leftOut, at: now() }
    } finally {
      this.#next = now() + Math.max(every, (now() - began) * (1 / SHARE - 1))
    }
  }
}

function listed({ tag, digest, variants }: CachedImage, place: NamedPlace): ListedImage {
  const reference = tag ?? digest
  const complete = variants.filter(({ missing }) => missing.length === 0).length
  return {
    ...place,
    name: imageKey(place, reference),
    reference,
    digest,
    size: variants.reduce((sum, { size }) => sum + size, 0),
    platforms: [...new Set(variants.flatMap(({ platform }) => platform ?? []))],
    complete: complete === 0 ? 'none' : complete === variants.length ? 'all' : 'some',
  }
}
