import type { Digest } from '../oci/digest.js'
import type { Descriptor, ManifestReading } from '../oci/manifest.js'
import { Yielder } from '../yielder.js'

/** How deep indexes may lie in one another; in use is one in another. */
export const MAX_NESTING = 4

/**
 * The most descriptors that are looked at for one image, whatever names it: an index of 100 platforms has some 13,000
 * with the most layers that Docker allows.
 */
const MAX_PARTS = 50_000

/** The most bytes of manifests that are read for one image: an image's own is some kilobytes. */
const MAX_BYTES = 64 * 1024 * 1024

/** What may still be looked at. Several walks may share one. */
export class WalkBudget {
  #parts: number
  #bytes: number

  constructor({ parts = MAX_PARTS, bytes = MAX_BYTES } = {}) {
    this.#parts = parts
    this.#bytes = bytes
  }

  /** False when there is not so much left. */
  take(parts: number, bytes: number): boolean {
    this.#parts -= parts
    this.#bytes -= bytes
    return this.#parts >= 0 && this.#bytes >= 0
  }
}

/** A manifest that is there. */
export interface ReadManifest {
  readonly reading: ManifestReading
  /** In bytes. */
  readonly size: number
}

/** A manifest that belongs to an image, or to an index of images. */
export interface WalkStep<M extends ReadManifest> {
  readonly digest: Digest
  /** As the index above names it. */
  readonly descriptor: Descriptor | undefined
  /** The index above; undefined for the first. */
  readonly above: WalkStep<M> | undefined
  /** Undefined when it is not there, or was not read. */
  readonly manifest: M | undefined
  /** Why it was not looked at; after `budget` there is no further step. */
  readonly limit: 'nesting' | 'budget' | undefined
}

export interface WalkOptions<M extends ReadManifest> {
  /** Undefined when it is not there. */
  readonly read: (digest: Digest, descriptor: Descriptor | undefined) => Promise<M | undefined>
  /** Whether to follow an entry of an index; all are when it is left out. */
  readonly follows?: (child: Descriptor, siblings: readonly Descriptor[]) => boolean | Promise<boolean>
  readonly budget?: WalkBudget
  readonly signal?: AbortSignal | undefined
}

/**
 * Every manifest that belongs to an image or to an index, itself first, then level by level: each digest once, however
 * often it is named, one at a time, and within bounds. Lets others be answered meanwhile. Throws what `read` throws, and
 * the signal's reason.
 */
export async function* walkManifests<M extends ReadManifest>(
  top: Digest,
  { read, follows = () => true, budget = new WalkBudget(), signal }: WalkOptions<M>,
): AsyncGenerator<WalkStep<M>> {
  const yielder = new Yielder()
  const seen = new Set([top])
  type Next = Pick<WalkStep<M>, 'digest' | 'descriptor' | 'above'> & { readonly nesting: number }
  let level: Next[] = [{ digest: top, descriptor: undefined, above: undefined, nesting: 0 }]
  while (level.length > 0) {
    const below: Next[] = []
    for (const { nesting, ...next } of level) {
      await yielder.step(signal)
      if (nesting > MAX_NESTING) {
        yield { ...next, manifest: undefined, limit: 'nesting' }
        continue
      }
      const manifest = await read(next.digest, next.descriptor)
      const content = manifest?.reading.content
      const children = content?.manifests ?? []
      const named = children.length + (content?.layers.length ?? 0) + (content?.blobs.length ?? 0)
      if (!budget.take(1 + named, manifest?.size ?? 0)) {
        yield { ...next, manifest: undefined, limit: 'budget' }
        return
      }
      const step: WalkStep<M> = { ...next, manifest, limit: undefined }
      yield step
      for (const child of children) {
        if (seen.has(child.digest) || !(await follows(child, children))) continue
        seen.add(child.digest)
        below.push({ digest: child.digest, descriptor: child, above: step, nesting: nesting + 1 })
      }
    }
    level = below
  }
}
