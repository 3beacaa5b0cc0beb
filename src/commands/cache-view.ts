import type { Config } from '../config/schema.js'
import { MAX_MANIFEST_BYTES } from '../oci/media-type.js'
import { tagOptions } from '../open-cache.js'
import { lookAtCacheDirectory, type CacheDirectory } from '../store/cache-directory.js'
import type { ImageSources } from '../store/images.js'
import { ManifestReadings } from '../store/manifest-readings.js'
import { createJournal, type Journal } from '../store/journal.js'
import { readMembership, type Membership } from '../store/membership.js'
import { readTagCache, type TagCache } from '../store/tag-cache.js'
import { cacheOf, settleOwner } from './owner.js'

/** A cache as it is now, to look at beside a running mirror. */
export interface CacheView extends ImageSources {
  readonly tags: TagCache
  readonly membership: Membership
  readonly directory: CacheDirectory
}

/** Looks at the configured cache, once a running owner has written down what it knows. Times are compared with `now`. */
export async function lookAtCache(config: Config, now: () => number = Date.now): Promise<CacheView> {
  const cache = cacheOf(config)
  await settleOwner(cache)
  const directory = lookAtCacheDirectory(cache.directory)
  const journal = (file: string): Journal => createJournal({ file, onTrouble: rethrow })
  return {
    directory,
    readings: new ManifestReadings(),
    tags: await readTagCache({ ...tagOptions(cache), journal: journal(directory.layout.tags), now }),
    membership: await readMembership({
      ...cache.membership,
      journal: journal(directory.layout.membership),
      now,
    }),
    read: digest => directory.read(digest, MAX_MANIFEST_BYTES),
    sizeOf: digest => directory.sizeOf(digest),
  }
}

function rethrow(error: unknown): never {
  throw error
}
