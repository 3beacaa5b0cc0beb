import type { Config } from './config/schema.js'
import { ConfigError } from './config/config-error.js'
import type { Log } from './operations/log.js'
import { createCache, type Cache } from './registry/cache.js'
import { createBlobCache, type BlobCacheEvent } from './store/blob-cache.js'
import { CacheTrouble } from './store/blob-store.js'
import { DirectoryInUse } from './store/directory-lock.js'
import { openDiskStore, type DiskStore } from './store/disk-store.js'
import { createJournal } from './store/journal.js'
import { layoutOf } from './store/layout.js'
import { DigestMismatch } from './store/lease.js'
import { openMembership } from './store/membership.js'

export interface OpenCache {
  readonly cache: Cache
  readonly store: DiskStore
  close(): Promise<void>
}

/** Opens the configured cache. Throws a ConfigError when another mirror owns its directory; other trouble passes. */
export async function openCache(config: NonNullable<Config['cache']>, log: Log): Promise<OpenCache> {
  const { directory, maxSize, minFree, verify, fillOnRange, download } = config
  const store = await openDiskStore({ directory, maxSize, minFree, log }).catch((error: unknown) => {
    throw error instanceof DirectoryInUse ? new ConfigError([error.message], { cause: error }) : error
  })
  const journal = createJournal({
    file: layoutOf(directory).membership,
    onTrouble: error => log.warn({ err: error }, 'what is known of repositories is kept in memory only'),
  })
  const membership = await openMembership({ ...config.membership, journal })
  const blobs = createBlobCache({ store, verify, ...download, onEvent: event => logEvent(log, event) })
  return {
    store,
    cache: createCache({ blobs, membership, fillOnRange }),
    async close() {
      await blobs.close()
      await membership.close()
      await store.close()
    },
  }
}

function logEvent(log: Log, event: BlobCacheEvent): void {
  const { kind, ...details } = event
  const fields = 'error' in details ? { ...details, error: String(details.error) } : details
  if (isOfNote(event)) log.warn(fields, kind)
  else log.debug(fields, kind)
}

function isOfNote(event: BlobCacheEvent): boolean {
  // Pushes that clients break off are none of the cache's matters.
  if (event.kind === 'capture dropped')
    return event.error instanceof CacheTrouble || event.error instanceof DigestMismatch
  return event.kind === 'mismatch' || event.kind === 'cache trouble' || event.kind === 'fill failed'
}
