import { LRUCache } from 'lru-cache'
import type { Digest } from '../oci/digest.js'
import { readManifest, type ManifestReading } from '../oci/manifest.js'
import { nextTurn } from '../yielder.js'

/** Of memory, in bytes: thousands of ordinary manifests, or some of the largest. */
const MAX_MEMORY = 16 * 1024 * 1024

/** Reading as much as this takes a millisecond, in bytes. */
const LARGE = 64 * 1024

/** What manifests say, by digest: each is read once as long as it is remembered. */
export class ManifestReadings {
  readonly #known = new LRUCache<Digest, ManifestReading>({
    maxSize: MAX_MEMORY,
    sizeCalculation: ({ weight }) => weight,
  })

  /** What bytes say that have this digest. */
  of(digest: Digest, bytes: Uint8Array): ManifestReading {
    const known = this.#known.get(digest)
    if (known) return known
    const reading = readManifest(bytes)
    this.#known.set(digest, reading)
    return reading
  }

  /** The same; of several large ones one is read in each turn of the event loop. */
  async read(digest: Digest, bytes: Uint8Array): Promise<ManifestReading> {
    if (bytes.length >= LARGE && !this.#known.has(digest)) await nextTurn()
    return this.of(digest, bytes)
  }
}
