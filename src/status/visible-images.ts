import { setImmediate as nextTurn } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import type { Policy } from '../access/policy.js'
import type { ImageList, ListedImage } from './image-list.js'
import type { Viewer } from './viewer.js'
import { placeText } from './place.js'

interface Known {
  readonly list: ImageList
  readonly policy: Policy
  readonly images: Promise<readonly ListedImage[]>
}

/** Repositories that the policy is asked about before others get their turn. */
const AT_A_TIME = 200

/** Which images of a list each viewer may see, found out once for a list and a policy. */
export class VisibleImages {
  readonly #known = new LRUCache<string, Known>({ max: 20 })

  of(list: ImageList | undefined, viewer: Viewer, policy: Policy): Promise<readonly ListedImage[]> {
    if (!list || !viewer.seesNames) return Promise.resolve([])
    const known = this.#known.get(viewer.key)
    if (known?.list === list && known.policy === policy) return known.images
    const images = visible(list.images, viewer)
    this.#known.set(viewer.key, { list, policy, images })
    return images
  }
}

async function visible(images: readonly ListedImage[], viewer: Viewer): Promise<ListedImage[]> {
  const seen = new Map<string, boolean>()
  const all: ListedImage[] = []
  for (const image of images) {
    const key = placeText(image)
    const may = seen.get(key) ?? viewer.sees(image)
    if (!seen.has(key) && seen.size % AT_A_TIME === AT_A_TIME - 1) await nextTurn()
    seen.set(key, may)
    if (may) all.push(image)
  }
  return all
}
