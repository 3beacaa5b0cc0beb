import { LRUCache } from 'lru-cache'
import { placeText, type NamedPlace } from './place.js'

/** An image that was asked for, by its tag or by its digest. */
export interface Asked extends NamedPlace {
  readonly reference: string
  /** How often since the start. */
  readonly times: number
  /** When last, in milliseconds since 1970. */
  readonly at: number
}

/** Counts how often images are asked for; those that nobody has asked for the longest are forgotten. */
export class Wanted {
  readonly #asked: LRUCache<string, Asked>

  constructor(max = 5_000) {
    this.#asked = new LRUCache({ max })
  }

  add(place: NamedPlace, reference: string, at: number): void {
    const key = imageKey(place, reference)
    const { upstream, repository } = place
    this.#asked.set(key, {
      upstream,
      repository,
      reference,
      times: (this.#asked.peek(key)?.times ?? 0) + 1,
      at,
    })
  }

  times(place: NamedPlace, reference: string): number {
    return this.#asked.peek(imageKey(place, reference))?.times ?? 0
  }

  /** The most wanted first. */
  inOrder(): Asked[] {
    return [...this.#asked.values()].sort((a, b) => b.times - a.times || b.at - a.at)
  }
}

/** As clients write it after the mirror's address. */
export function imageKey(place: NamedPlace, reference: string): string {
  return `${placeText(place)}${reference.includes(':') ? '@' : ':'}${reference}`
}
