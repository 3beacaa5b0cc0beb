import type { Dispatcher } from 'undici'
import { byteRangeText, type ByteRange } from '../oci/byte-range.js'
import { fitsSize, type Digest } from '../oci/digest.js'
import { OciError } from '../oci/error.js'
import type { Repository } from '../oci/reference.js'
import {
  blobBodyOf,
  contentLengthOf,
  RangeNotSatisfiable,
  somethingElse,
  type BlobBody,
} from './blob-body.js'
import { discard } from './discard.js'
import type { Clock } from './ecr-token.js'
import { headerOf, outboundHeaders, OWN_HEADERS } from './headers.js'
import { observed } from './observe.js'
import { UNOBSERVED, type UpstreamObserver } from './observer.js'
import type { RedirectRules } from './redirect-rules.js'
import type { Answer, Send } from './send.js'
import { ConnectionFailure, connectionError } from './transport-error.js'
import { pause } from './pause.js'
import { warningsIn } from './warnings.js'

export type { BlobBody } from './blob-body.js'

/** An open blob, and the way to more of it. */
export interface OpenBlob extends BlobBody {
  /** What the registry warned of, as the value of a Warning header. */
  readonly warning: string | undefined
  /**
   * Another range from the same place, without asking the registry anew where that is. Throws an OciError when there
   * is nothing to be had there any more; then the blob is to be opened anew.
   */
  again(range: ByteRange, signal: AbortSignal): Promise<OpenBlob>
}

/** Where a registry's blobs are read. */
export interface BlobSource {
  /**
   * A blob, or the range of it. What the registry itself refuses (404, 403 and so on) is given as its answer; a
   * range beyond the end, storage that fails and redirects that must not be followed are thrown as OciErrors.
   */
  open(
    repository: Repository,
    digest: Digest,
    range: ByteRange | undefined,
    signal: AbortSignal,
  ): Promise<OpenBlob | Answer>
  /** What is known of a blob without its bytes, or the registry's refusal. */
  stat(repository: Repository, digest: Digest, signal: AbortSignal): Promise<BlobStat | Answer>
}

export interface BlobStat {
  /** In bytes. */
  readonly size: number
  /** What the registry warned of, as the value of a Warning header. */
  readonly warning?: string
}

export interface BlobSourceOptions {
  /** The upstream's name, for people. */
  readonly upstream: string
  /** The registry's origin, to resolve a relative redirect by. */
  readonly origin: string
  /** To the registry, with its token. */
  readonly send: Send
  /** To where the registry redirects; it never sees a token. */
  readonly storage: Dispatcher
  readonly rules: RedirectRules
  readonly observer?: UpstreamObserver
  /** How long opening may take with all its tries, in milliseconds, before an answer begins. */
  readonly patience?: number
  /** The longest wait before a further try, in milliseconds. */
  readonly backoff?: number
  readonly random?: () => number
  readonly clock?: Clock
}

const REDIRECTS = [301, 302, 303, 307, 308]
const MAX_HOPS = 2
const FURTHER_TRIES = 2

/**
 * How often the registry is asked again while it redirects to hosts that are not allowed: behind a pull-through-cache
 * rule ECR sends the first ones who ask for a layer to where it imports it from (Docker Hub's CDN), and to its own
 * bucket once it has it. The waits double.
 */
const FURTHER_TRIES_ELSEWHERE = 3

export function createBlobSource({
  upstream,
  origin,
  send,
  storage,
  rules,
  observer = UNOBSERVED,
  patience = 8000,
  backoff = 400,
  random = Math.random,
  clock = performance,
}: BlobSourceOptions): BlobSource {
  const place = `the layer storage of the upstream "${upstream}"`

  const open: BlobSource['open'] = async (repository, digest, range, signal) => {
    const giveUpAt = clock.now() + patience
    const headers = storageHeaders(range)
    const ask = (asked: ByteRange | undefined, asker: AbortSignal, askPatience: number): Promise<Answer> =>
      send({
        action: 'GetDownloadUrlForLayer',
        method: 'GET',
        path: `/v2/${repository}/blobs/${digest}`,
        headers: { ...outboundHeaders({}, []), ...rangeHeader(asked) },
        signal: asker,
        patience: askPatience,
      })
    const elsewhere = new Set<string>()
    for (let tries = 0; ; tries++) {
      // Each try asks the registry anew, since what a redirect was signed with may have expired.
      const answer = await ask(range, signal, Math.max(0, giveUpAt - clock.now()))
      const target = redirectOf(answer, origin)
      const warning = warningsIn(answer.headers.warning)
      if (!target) {
        if (!isBlob(answer)) return unlessUnsatisfiable(answer)
        return checked(openAt(answer, range, readServed, warning), digest)
      }
      if (!rules.allows(target)) {
        elsewhere.add(target.host)
        const wait = backoff * 2 ** tries
        const isWeb = /^https?:$/.test(target.protocol) && target.username === '' && target.password === ''
        if (!isWeb || tries >= FURTHER_TRIES_ELSEWHERE || clock.now() + wait > giveUpAt)
          throw redirectRefused(target, elsewhere)
        observer.retried('storage_refused')
        await pause(wait, signal)
        continue
      }
      const stored = await readStored(target, headers, signal)
      if (!(stored instanceof StorageFailure))
        return checked(openAt(stored.answer, range, readAt(stored.url), warning), digest)
      const wait = stored.refused ? 0 : random() * backoff * 2 ** tries
      const further = stored.refused ? 1 : FURTHER_TRIES
      if (tries >= further || clock.now() + wait > giveUpAt) throw stored.error
      observer.retried(stored.refused ? 'storage_refused' : 'storage_failed')
      await pause(wait, signal)
    }

    /** Of a registry that serves blobs itself. */
    async function readServed(another: ByteRange, asker: AbortSignal): Promise<Answer> {
      const answer = await ask(another, asker, patience)
      if (isBlob(answer)) return answer
      discard(answer.body)
      throw broken(`ecr-mirror: the upstream "${upstream}" gives no more of the blob.`)
    }
  }

  type ReadMore = (range: ByteRange, signal: AbortSignal) => Promise<Answer>

  function openAt(
    answer: Answer,
    range: ByteRange | undefined,
    readMore: ReadMore,
    warning?: string,
  ): OpenBlob {
    return {
      ...blobBodyOf(answer, range),
      warning,
      again: async (another, signal) => openAt(await readMore(another, signal), another, readMore),
    }
  }

  function readAt(url: URL): ReadMore {
    return async (range, signal) => {
      const answer = await readPlace(url, storageHeaders(range), signal)
      if (answer instanceof StorageFailure) throw answer.error
      if (isBlob(answer)) return answer
      throw failureIn(answer).error
    }
  }

  /** The storage's 200 or 206 and where it came from, or why there is none; its own words go no further. */
  async function readStored(
    first: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<{ readonly answer: Answer; readonly url: URL } | StorageFailure> {
    let url = first
    for (let hop = 1; hop <= MAX_HOPS; hop++) {
      if (!rules.allows(url)) throw redirectRefused(url, [url.host])
      const answer = await readPlace(url, headers, signal)
      if (answer instanceof StorageFailure) return answer
      const next = redirectOf(answer, url)
      if (!next) return isBlob(answer) ? { answer, url } : failureIn(answer)
      url = next
    }
    throw broken(`ecr-mirror: ${place} redirects more than ${MAX_HOPS} times.`)
  }

  async function readPlace(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Answer | StorageFailure> {
    try {
      return await observed(observer, 'GetObject', signal, () => requestPlace(url, headers, signal))
    } catch (error) {
      if (error instanceof ConnectionFailure) return new StorageFailure(error, false)
      throw error
    }
  }

  async function requestPlace(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Answer> {
    try {
      const path = url.pathname + url.search
      return await storage.request({ origin: url.origin, path, method: 'GET', headers, signal })
    } catch (error) {
      signal.throwIfAborted()
      throw connectionError(error, place)
    }
  }

  function failureIn(answer: Answer): StorageFailure {
    const status = answer.statusCode
    if (status === 416) unlessUnsatisfiable(answer)
    discard(answer.body)
    const error = broken(`ecr-mirror: ${place} did not give the blob (status ${status}); try again.`)
    return new StorageFailure(error, status < 500 && status !== 429 && status !== 408)
  }

  function redirectRefused(url: URL, hosts: Iterable<string>): OciError {
    return new RedirectRefused(
      `ecr-mirror: the upstream "${upstream}" redirects blobs to a host that is not among its redirectHosts. ` +
        'ECR does so while it imports an image by a pull-through-cache rule: try again in a minute. If it stays so, ' +
        'the operator has to add the host to redirectHosts of that upstream, if it is meant; it is in the log.',
      url,
      [...hosts],
    )
  }

  return {
    open,
    async stat(repository, digest, signal) {
      const answer = await send({
        action: 'BatchCheckLayerAvailability',
        method: 'HEAD',
        path: `/v2/${repository}/blobs/${digest}`,
        headers: outboundHeaders({}, []),
        signal,
        patience,
      })
      const redirected = REDIRECTS.includes(answer.statusCode)
      if (!redirected && answer.statusCode !== 200) return answer
      discard(answer.body)
      const size = redirected ? undefined : contentLengthOf(answer)
      if (size === undefined) return sizeByRange(repository, digest, signal)
      if (!fitsSize(digest, size)) throw somethingElse()
      return statOf(size, warningsIn(answer.headers.warning))
    },
  }

  /** What a redirect is signed for is GET alone, so the total is taken from the first byte's Content-Range. */
  async function sizeByRange(
    repository: Repository,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<BlobStat | Answer> {
    try {
      const opened = await open(repository, digest, { first: 0, last: 0 }, signal)
      if ('statusCode' in opened) return opened
      discard(opened.body)
      return statOf(opened.size, opened.warning)
    } catch (error) {
      // Nothing has no first byte.
      if (!(error instanceof RangeNotSatisfiable) || error.size === undefined) throw error
      if (!fitsSize(digest, error.size)) throw somethingElse()
      return { size: error.size }
    }
  }
}

function statOf(size: number, warning: string | undefined): BlobStat {
  return { size, ...(warning !== undefined && { warning }) }
}

/** A redirect led to a place that is not allowed. */
export class RedirectRefused extends OciError {
  /** Host, and port unless it is the scheme's own; for the operator, and no client. */
  readonly host: string

  constructor(message: string, url: URL, hosts: readonly string[]) {
    // The hosts are for the log; nothing else of the URL is.
    super('UNKNOWN', message, { status: 502, cause: new Error(`redirected to ${hosts.join(', ')}`) })
    this.host = url.host
  }
}

/** Why there was nothing to read where a redirect led. */
class StorageFailure {
  constructor(
    readonly error: OciError,
    /** Refused rather than failed: the signature may have expired. */
    readonly refused: boolean,
  ) {}
}

/** What nobody could tell by hashing before all of it was sent: nothing is complete at once. */
function checked(opened: OpenBlob, digest: Digest): OpenBlob {
  if (fitsSize(digest, opened.size)) return opened
  discard(opened.body)
  throw somethingElse()
}

function rangeHeader(range: ByteRange | undefined): Record<string, string> {
  return range ? { range: byteRangeText(range) } : {}
}

function storageHeaders(range: ByteRange | undefined): Record<string, string> {
  return { ...OWN_HEADERS, ...rangeHeader(range) }
}

function isBlob(answer: Answer): boolean {
  return answer.statusCode === 200 || answer.statusCode === 206
}

function unlessUnsatisfiable(answer: Answer): Answer {
  if (answer.statusCode !== 416) return answer
  discard(answer.body)
  throw new RangeNotSatisfiable(answer)
}

/** Where a redirect leads; the body of one is nobody's. */
function redirectOf(answer: Answer, base: string | URL): URL | undefined {
  if (!REDIRECTS.includes(answer.statusCode)) return undefined
  discard(answer.body)
  const location = headerOf(answer.headers, 'location')
  const url = location !== undefined && URL.canParse(location, String(base)) && new URL(location, base)
  if (!url) throw broken('ecr-mirror: the upstream redirects a blob to nowhere.')
  return url
}

function broken(message: string, cause?: unknown): OciError {
  return new OciError('UNKNOWN', message, { status: 502, cause })
}
