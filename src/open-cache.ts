import * as files from 'node:fs/promises'
import type { Config } from './config/schema.js'
import { ConfigError } from './config/config-error.js'
import type { Log } from './operations/log.js'
import { createCache, type Cache } from './registry/cache.js'
import { createBlobCache, type BlobCacheEvent } from './store/blob-cache.js'
import { DirectoryInUse } from './store/directory-lock.js'
import { openDiskStore, type DiskStore } from './store/disk-store.js'
import { createJournal } from './store/journal.js'
import { layoutOf } from './store/layout.js'
import { openMembership } from './store/membership.js'
import { startScrub, type Scrub, type ScrubEvent } from './store/scrub.js'
import { scrubProgressFile } from './store/scrub-progress.js'

export interface OpenCache {
  readonly cache: Cache
  readonly store: DiskStore
  /** Undefined when there is none. */
  readonly scrub: Scrub | undefined
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
  const scrub = await scrubOf(config, store, log)
  return {
    store,
    scrub,
    cache: createCache({ blobs, membership, fillOnRange }),
    async close() {
      await scrub?.stop()
      await blobs.close()
      await membership.close()
      await store.close()
    },
  }
}

async function scrubOf(
  { directory, scrub: { every, rate } }: NonNullable<Config['cache']>,
  store: DiskStore,
  log: Log,
): Promise<Scrub | undefined> {
  if (every === 'never') return undefined
  const file = scrubProgressFile(files, layoutOf(directory))
  return startScrub({ store, file, every, rate, onEvent: event => logEvent(log, event) })
}

type CacheEvent = BlobCacheEvent | ScrubEvent

const WARNINGS: ReadonlySet<CacheEvent['kind']> = new Set<CacheEvent['kind']>([
  'mismatch',
  'cache trouble',
  'fill failed',
  'scrub trouble',
])

function logEvent(log: Log, event: CacheEvent): void {
  const { kind, ...details } = event
  const fields = 'error' in details ? { ...details, error: String(details.error) } : details
  if (WARNINGS.has(kind)) log.warn(fields, kind)
  else if (kind === 'scrub ended') log.info(fields, kind)
  else log.debug(fields, kind)
}
