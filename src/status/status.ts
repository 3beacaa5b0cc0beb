import type { FastifyInstance } from 'fastify'
import type { Digest } from '../oci/digest.js'
import type { BlobCache } from '../store/blob-cache.js'
import type { CachedImage } from '../store/images.js'
import type { Upstream } from '../upstream/upstream.js'
import { ImageLists } from './image-list.js'
import { Minutes } from './minutes.js'
import { Origins } from './origins.js'
import { placeOf } from './place.js'
import { RecentErrors } from './recent-errors.js'
import { Wanted } from './wanted.js'
import { watch, type Observations } from './watch.js'

/** Something that the cache's log warns of. */
export interface CacheTroubleEvent {
  readonly kind: string
  readonly digest?: Digest
  readonly error?: unknown
  readonly where?: string
}

/** What is observed from now on, of bounded size. `now` gives milliseconds since 1970. */
export function createObservations(now: () => number = Date.now): Observations {
  return {
    minutes: new Minutes(now),
    wanted: new Wanted(),
    errors: new RecentErrors(),
    origins: new Origins(),
    now,
  }
}

/** Keeps account of something that went wrong in the cache. */
export function noteCacheTrouble(
  { errors, origins, now }: Observations,
  { kind, digest, error, where }: CacheTroubleEvent,
): void {
  const texts = [where && `bytes of the ${where}`, digest, error instanceof Error && error.message]
  errors.add(
    {
      what: `cache, ${kind}`,
      text: texts.filter(Boolean).join(': '),
      ...(digest && { places: origins.of(digest) }),
    },
    now(),
  )
}

/** What the status page goes by, and brings up to date. */
export interface Status {
  readonly observed: Observations
  /** Undefined without a cache. */
  readonly images: ImageLists | undefined
  /** Counts what downloads have fetched since the last time. */
  sample(): void
  close(): Promise<void>
}

export interface StatusOptions {
  readonly observed: Observations
  /** The API that is watched. */
  readonly api: FastifyInstance
  /** Undefined without one. */
  readonly cache:
    | {
        readonly blobs: Pick<BlobCache, 'fetched'>
        readonly images: (signal: AbortSignal) => AsyncIterable<CachedImage>
      }
    | undefined
  readonly upstreams: () => readonly Upstream[]
}

/** How often downloads are asked how far they are, in milliseconds; they count for the minute in which that is. */
const SAMPLED_EVERY = 10_000

/** Begins to watch the API. */
export function createStatus({ observed, api, cache, upstreams }: StatusOptions): Status {
  watch(api, observed)
  const images =
    cache &&
    new ImageLists({
      look: signal => cache.images(signal),
      placeOf: scope => placeOf(scope, upstreams()),
      now: observed.now,
    })

  let counted = 0
  function sample(): void {
    const fetched = cache?.blobs.fetched ?? 0
    if (fetched > counted) observed.minutes.add({ fetched: fetched - counted })
    counted = fetched
  }
  const timer = setInterval(sample, SAMPLED_EVERY)
  timer.unref()

  return {
    observed,
    images,
    sample,
    async close() {
      clearInterval(timer)
      await images?.close()
    },
  }
}
