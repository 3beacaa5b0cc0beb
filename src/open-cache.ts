import * as files from 'node:fs/promises'
import type { Socket } from 'node:net'
import { compilePattern } from './access/pattern.js'
import type { Budget } from './budget.js'
import { importBundle, type ImportParts, type ImportResult } from './bundle/import-bundle.js'
import type { Renaming } from './bundle/restored-name.js'
import { closedOnFailure, type Closing } from './closing.js'
import type { Config } from './config/schema.js'
import { ConfigError } from './config/config-error.js'
import { MAX_MANIFEST_BYTES } from './oci/media-type.js'
import type { Log } from './operations/log.js'
import { createCache, type Cache } from './registry/cache.js'
import { questionSlots } from './registry/fair-slots.js'
import { createBlobCache, type BlobCacheEvent } from './store/blob-cache.js'
import { CacheTrouble, type BlobStore } from './store/blob-store.js'
import { lookAtCacheDirectory } from './store/cache-directory.js'
import { DirectoryInUse } from './store/directory-lock.js'
import { openDiskStore, type DiskStore } from './store/disk-store.js'
import { listImages, type CachedImage } from './store/images.js'
import { createJournal, type Journal } from './store/journal.js'
import { layoutOf } from './store/layout.js'
import { DigestMismatch } from './store/lease.js'
import { ManifestReadings } from './store/manifest-readings.js'
import { createManifestStore } from './store/manifest-store.js'
import { openMembership } from './store/membership.js'
import { purge, type PurgeResult, type PurgeTarget } from './store/purge.js'
import { createReferrersCache } from './store/referrers-cache.js'
import type { Validity } from './store/proof.js'
import { SmallBlobs } from './store/small-blobs.js'
import { startScrub, type Scrub, type ScrubEvent } from './store/scrub.js'
import { scrubProgressFile } from './store/scrub-progress.js'
import { openTagCache } from './store/tag-cache.js'

export type CacheConfig = NonNullable<Config['cache']>

export interface OpenCache {
  readonly cache: Cache
  readonly store: DiskStore
  /** Drops something that is cached. Throws CacheTrouble, and the signal's reason before anything was dropped. */
  purge(target: PurgeTarget, signal?: AbortSignal): Promise<PurgeResult>
  /** Takes the images of a bundle into the cache. Throws BundleRefused, CacheTrouble, and what reading it throws. */
  import(
    bundle: AsyncIterable<Uint8Array>,
    renaming: Renaming,
    scopeOf: ImportParts['scopeOf'],
    signal?: AbortSignal,
  ): Promise<ImportResult>
  /** Resolves when another process can see all that is cached and known. */
  settled(): Promise<void>
  /** Every image of which something is cached, looked at one after the other, which counts as no use of it. */
  images(signal?: AbortSignal): AsyncGenerator<CachedImage>
  /** How long at most what the upstream said is served without asking again, in milliseconds. */
  readonly validity: { readonly tags: number; readonly blobs: number }
  /** Undefined when there is none. */
  readonly scrub: Scrub | undefined
  close(): Promise<void>
}

export interface OpenCacheDeps {
  readonly log: Log
  /** The time in milliseconds since 1970, by which what is known grows old. */
  readonly now?: (() => number) | undefined
  /** Blobs that are fetched at a time. */
  readonly fills?: Budget
  /** Connections that each upstream may have. */
  readonly upstreamConnections?: number
  /** Learns of what happens, as the log does. */
  readonly onEvent?: (event: CacheEvent) => void
  /** Is given whoever connects to the socket in the cache directory. */
  readonly onConnection?: (socket: Socket) => void
}

/** Opens the configured cache. Throws a ConfigError when another mirror owns its directory; other trouble passes. */
export function openCache(config: CacheConfig, deps: OpenCacheDeps): Promise<OpenCache> {
  return closedOnFailure(closing => openParts(config, deps, closing))
}

async function openParts(
  config: CacheConfig,
  {
    log,
    now = Date.now,
    fills,
    upstreamConnections = Infinity,
    onConnection,
    onEvent: alsoTell = () => undefined,
  }: OpenCacheDeps,
  closing: Closing,
): Promise<OpenCache> {
  const { directory, maxSize, minFree, verify, fillOnRange, download } = config
  const disk = await openDiskStore({ directory, maxSize, minFree, log, onConnection }).catch(
    (error: unknown) => {
      throw error instanceof DirectoryInUse ? new ConfigError([error.message], { cause: error }) : error
    },
  )
  closing.add(() => disk.close())
  // What is to be hashed whenever it is read is read whenever it is served.
  const smallBlobs = verify === 'always' ? undefined : new SmallBlobs(disk)
  const store = smallBlobs ?? disk
  const onEvent = (event: CacheEvent): void => {
    logEvent(log, event)
    alsoTell(event)
  }
  const layout = layoutOf(directory)
  const journal = (file: string): Journal =>
    createJournal({
      file,
      onTrouble: error => log.warn({ err: error }, 'what is known of repositories is kept in memory only'),
    })
  const membership = await openMembership({ ...config.membership, journal: journal(layout.membership), now })
  const tags = await openTagCache({ ...tagOptions(config), journal: journal(layout.tags), now })
  const blobs = createBlobCache({ store, verify, ...download, ...(fills && { fills }), onEvent })
  const manifests = createManifestStore({
    store,
    maxManifest: MAX_MANIFEST_BYTES,
    onTrouble: (digest, error) => onEvent({ kind: 'cache trouble', digest, error }),
    onMismatch: digest => onEvent({ kind: 'mismatch', digest, where: 'store' }),
  })
  const readings = new ManifestReadings()
  const referrers = createReferrersCache({ ...config.tags, now })
  const scrub = await scrubOf(config, store, onEvent)
  const whole = ({ ttl, staleFor }: Validity): number => ttl + staleFor
  const looked = lookAtCacheDirectory(directory)
  return {
    store: disk,
    scrub,
    images: signal =>
      listImages(
        {
          tags,
          membership,
          readings,
          read: digest => looked.read(digest, MAX_MANIFEST_BYTES),
          sizeOf: async digest => disk.sizeOf(digest) ?? looked.sizeOf(digest),
        },
        signal,
      ),
    validity: { tags: whole(config.tags), blobs: whole(config.membership) },
    purge: (target, signal) => purge(target, { tags, membership, manifests, readings, store }, signal),
    import: (bundle, renaming, scopeOf, signal) =>
      importBundle(bundle, renaming, { store, manifests, readings, membership, tags, scopeOf }, signal),
    async settled() {
      await Promise.all([blobs.settled(), manifests.settled(), membership.settled(), tags.settled()])
    },
    cache: createCache({
      blobs,
      smallBlobs,
      manifests,
      readings,
      membership,
      tags,
      referrers,
      fillOnRange,
      questions: questionSlots(upstreamConnections),
    }),
    async close() {
      await scrub?.stop()
      await Promise.all([blobs.close(), manifests.close()])
      await Promise.all([membership.close(), tags.close()])
      await store.close()
    },
  }
}

/** What the configuration says of tags, in the store's terms. */
export function tagOptions({ tags: { ttl, staleFor, immutable } }: CacheConfig) {
  const patterns = immutable.map(compilePattern)
  return { ttl, staleFor, isImmutable: (tag: string) => patterns.some(matches => matches(tag)) }
}

async function scrubOf(
  { directory, scrub: { every, rate } }: CacheConfig,
  store: BlobStore,
  onEvent: (event: CacheEvent) => void,
): Promise<Scrub | undefined> {
  if (every === 'never') return undefined
  const file = scrubProgressFile(files, layoutOf(directory))
  return startScrub({ store, file, every, rate, onEvent })
}

/** What happens in the cache. */
export type CacheEvent = BlobCacheEvent | ScrubEvent

const WARNINGS: ReadonlySet<CacheEvent['kind']> = new Set<CacheEvent['kind']>([
  'mismatch',
  'cache trouble',
  'fill failed',
  'scrub trouble',
])

function logEvent(log: Log, event: CacheEvent): void {
  const { kind, ...details } = event
  const fields = 'error' in details ? { ...details, error: String(details.error) } : details
  if (isOfNote(event)) log.warn(fields, kind)
  else if (kind === 'scrub ended') log.info(fields, kind)
  else log.debug(fields, kind)
}

/** Whether somebody should look at it. */
export function isOfNote(event: CacheEvent): boolean {
  // Pushes that clients break off are none of the cache's matters.
  if (event.kind === 'capture dropped')
    return event.error instanceof CacheTrouble || event.error instanceof DigestMismatch
  return WARNINGS.has(event.kind)
}
