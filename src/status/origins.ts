import { LRUCache } from 'lru-cache'
import type { Digest } from '../oci/digest.js'
import type { NamedPlace } from './place.js'

/** Of a blob that several repositories have. */
const MOST_PLACES = 3

/** From which repositories blobs were asked for last, since a download knows its digest alone. */
export class Origins {
  readonly #places: LRUCache<Digest, readonly NamedPlace[]>

  constructor(max = 2_000) {
    this.#places = new LRUCache({ max })
  }

  note(digest: Digest, { upstream, repository }: NamedPlace): void {
    const others = this.of(digest).filter(
      each => each.upstream !== upstream || each.repository !== repository,
    )
    this.#places.set(digest, [{ upstream, repository }, ...others].slice(0, MOST_PLACES))
  }

  /** The last one first. */
  of(digest: Digest): readonly NamedPlace[] {
    return this.#places.peek(digest) ?? []
  }
}
