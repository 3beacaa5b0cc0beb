import type { Digest } from '../oci/digest.js'
import type { BlobDownload } from '../store/blob-cache.js'
import type { DiskStoreStats } from '../store/disk-store-stats.js'
import type { ScrubState } from '../store/scrub.js'
import type { TokenProblem } from '../upstream/token-problem.js'
import type { Upstream } from '../upstream/upstream.js'
import type { ImageList, ListedImage } from './image-list.js'
import { pageOf, type ImagePage, type ImageQuery } from './image-page.js'
import { KEPT, type Traffic } from './minutes.js'
import { placeText, type NamedPlace } from './place.js'
import type { RecentError } from './recent-errors.js'
import type { Viewer } from './viewer.js'
import { imageKey } from './wanted.js'
import type { Observations } from './watch.js'

/** What the page tells, asked for whenever it is. */
export interface StatusSources {
  readonly observed: Observations
  readonly upstreams: () => readonly Upstream[]
  readonly downloads: () => readonly BlobDownload[]
  /** Undefined without a cache. */
  readonly disk: () => Promise<DiskStoreStats | undefined>
  readonly scrub: () => ScrubState | undefined
  readonly inFlight: () => { readonly requests: number; readonly connections: number }
  /** Where clients connect, as far as the mirror itself knows. */
  readonly urls: () => readonly string[]
  readonly isDraining: () => boolean
}

/** Traffic of some time, and what the cache saved of it. */
export interface Period {
  readonly traffic: Traffic
  /** The share of pulls that were hits; undefined where there was no pull. */
  readonly hitRate: number | undefined
  /** In bytes. */
  readonly saved: number
  /** In US dollars; undefined where nobody said what a transfer costs. */
  readonly money: number | undefined
}

export interface DownloadRow extends Pick<BlobDownload, 'size' | 'received' | 'readers'> {
  /** Undefined where it may not be told. */
  readonly named: { readonly digest: Digest; readonly repositories: readonly string[] } | undefined
}

export interface UpstreamRow {
  /** Undefined where they may not be told. */
  readonly named: { readonly name: string; readonly host: string } | undefined
  readonly token: {
    readonly usable: boolean
    /** In milliseconds. */
    readonly expiresIn: number | undefined
    readonly problem: TokenProblem | undefined
  }
  /** How long it has not answered, in milliseconds; undefined while it does. */
  readonly awayFor: number | undefined
  readonly connections: number
}

export interface ErrorRow extends Pick<RecentError, 'at' | 'times' | 'what'> {
  /** Undefined where they may not be told. */
  readonly told: { readonly text: string; readonly about: string; readonly user: string } | undefined
}

export interface WantedRow {
  readonly name: string
  readonly times: number
}

/** The page, as one viewer may see it. */
export interface StatusView {
  /** Milliseconds since 1970. */
  readonly now: number
  readonly since: number
  readonly user: string | undefined
  readonly seesNames: boolean
  readonly draining: boolean
  readonly inFlight: { readonly requests: number; readonly connections: number }
  readonly hour: Period
  readonly day: Period
  /** The last 24 hours in parts of equal length, the oldest first. */
  readonly columns: readonly Traffic[]
  readonly downloads: readonly DownloadRow[]
  /** The most wanted, and the largest; empty for those who may see no names. */
  readonly wanted: readonly WantedRow[]
  readonly largest: readonly ListedImage[]
  /** Undefined without a cache, and until the first look at it is over. */
  readonly images: ImagePage | undefined
  readonly upstreams: readonly UpstreamRow[]
  readonly disk: DiskStoreStats | undefined
  readonly scrub: ScrubState | undefined
  readonly errors: readonly ErrorRow[]
}

/** Columns of the chart: half an hour each. */
const COLUMNS = 48
/** Rows of the short lists. */
const TOP = 5

export interface ViewOptions {
  readonly sources: StatusSources
  readonly viewer: Viewer
  readonly list: ImageList | undefined
  /** Those of the list that the viewer may see. */
  readonly visible: readonly ListedImage[]
  readonly query: ImageQuery
  /** US dollars for 1024³ bytes. */
  readonly transferPrice: number | undefined
}

/** Puts together what one viewer may see; only here names are let through or held back. */
export async function viewOf(options: ViewOptions): Promise<StatusView> {
  const { sources, viewer, list, visible, query, transferPrice } = options
  const { minutes, wanted, errors, origins, now } = sources.observed
  const listed = new Set(visible.map(({ name }) => name))
  const period = (length: number): Period => periodOf(minutes.last(length), transferPrice)
  const named = (places: readonly NamedPlace[]): readonly string[] =>
    places.filter(place => viewer.sees(place)).map(placeText)
  return {
    now: now(),
    since: minutes.since,
    user: viewer.principal.kind === 'anonymous' ? undefined : viewer.principal.name,
    seesNames: viewer.seesNames,
    draining: sources.isDraining(),
    inFlight: sources.inFlight(),
    hour: period(60),
    day: period(KEPT),
    columns: minutes.columns(COLUMNS),
    downloads: sources.downloads().map(({ digest, size, received, readers }) => {
      const repositories = named(origins.of(digest))
      return {
        size,
        received,
        readers,
        named: repositories.length > 0 ? { digest, repositories } : undefined,
      }
    }),
    wanted: !viewer.seesNames
      ? []
      : first(TOP, wanted.inOrder(), asked => {
          const name = imageKey(asked, asked.reference)
          // A digest is of interest where it is all the name that there is; else it is part of some image.
          const isImage = !asked.reference.includes(':') || listed.has(name)
          return isImage && viewer.sees(asked) ? { name, times: asked.times } : undefined
        }),
    largest: visible.slice(0, TOP),
    images: list && pageOf(list, visible, query, wanted),
    upstreams: sources.upstreams().map(upstream => upstreamRow(upstream, viewer)),
    disk: await sources.disk(),
    scrub: sources.scrub(),
    errors: errors.all.map(error => errorRow(error, viewer)),
  }
}

function periodOf(traffic: Traffic, transferPrice: number | undefined): Period {
  const pulls = traffic.hits + traffic.misses
  const saved = Math.max(0, traffic.served - traffic.fetched)
  return {
    traffic,
    hitRate: pulls === 0 ? undefined : traffic.hits / pulls,
    saved,
    money: transferPrice === undefined ? undefined : (saved / 1024 ** 3) * transferPrice,
  }
}

function upstreamRow(upstream: Upstream, viewer: Viewer): UpstreamRow {
  const { name, ecr, tokens, reachability } = upstream
  const { usable, expiresIn, problem } = tokens.state()
  return {
    named: viewer.seesUpstream(name) ? { name, host: ecr.host } : undefined,
    token: { usable, expiresIn, problem },
    awayFor: reachability.awayFor,
    connections: upstream.connections().reduce((sum, { connections }) => sum + connections, 0),
  }
}

function errorRow({ at, times, what, text, upstream, places, user }: RecentError, viewer: Viewer): ErrorRow {
  const seen = places?.filter(place => viewer.sees(place))
  // A text may name whatever it is about: of several places, those who see one may read it.
  const may =
    seen !== undefined
      ? seen.length > 0
      : upstream === undefined
        ? viewer.seesNames
        : viewer.seesUpstream(upstream)
  if (!may) return { at, times, what, told: undefined }
  const about = seen?.map(placeText).join(', ') ?? upstream ?? ''
  return { at, times, what, told: { text: text ?? '', about, user: user ?? '' } }
}

function first<T, R>(count: number, all: readonly T[], pick: (each: T) => R | undefined): R[] {
  const picked: R[] = []
  for (const each of all) {
    if (picked.length === count) break
    const found = pick(each)
    if (found !== undefined) picked.push(found)
  }
  return picked
}
