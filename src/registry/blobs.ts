import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { parseByteRange, resolveByteRange, type ByteRange } from '../oci/byte-range.js'
import { digestCheck, DigestMismatch } from '../oci/digest.js'
import { pathOf, ROUTES } from '../oci/endpoint.js'
import { OciError } from '../oci/error.js'
import { CacheTrouble } from '../store/blob-store.js'
import type { CacheResult } from '../store/lease.js'
import { discard } from '../upstream/discard.js'
import { outboundHeaders } from '../upstream/headers.js'
import { askForBlob, leaseBlob, sourceOf, type ProvenLease } from './blob-access.js'
import { markBulk } from './bulk.js'
import type { Cache } from './cache.js'
import { asDone, isStatus, isUncertain } from './confirm.js'
import { API_VERSION } from './errors.js'
import { exchangeOf, repositoryTarget } from './exchange.js'
import { forward } from './forward.js'
import { inTime } from './in-time.js'
import { PATIENCE } from './patience.js'
import { refuse } from './refuse.js'
import { asksUpstream } from './revalidation.js'
import { sendBlob } from './send-blob.js'
import { sendLease } from './send-lease.js'
import { askOrFallBack, STALE_WARNING } from './stale.js'
import { withWarning } from './warning.js'
import { withoutBody } from './without-body.js'

/**
 * Blobs: read by handlers, from the cache where there is one, which follow redirects themselves and check what passes;
 * deleted by way of the proxy.
 */
export function blobs(app: FastifyInstance, { cache }: { readonly cache: Cache | undefined }): void {
  app.head(ROUTES.blob, async (request, reply) => {
    const { size, result } = await inTime(request, signal => statBlob(request, cache, signal))
    return reply.headers(blobHeaders(request, result)).header('content-length', String(size)).send()
  })

  app.get(ROUTES.blob, async (request, reply) => {
    const range = wantedRange(request)
    const held = cache?.held(request, repositoryTarget(request, 'blob').endpoint.digest)
    if (held) return sendHeld(request, reply, held, range)
    if (!cache || !(await sendCached(request, reply, cache, range))) await sendStreamed(request, reply, range)
    return reply
  })

  app.register(async api => deletions(api, cache))
}

/**
 * Undefined for the whole. A range under a condition is wanted only of the representation that the client has a part of;
 * the mirror gives no validators, so no If-Range can be about what it serves (RFC 9110, section 13.1.5).
 */
function wantedRange(request: FastifyRequest): ByteRange | undefined {
  const { range, 'if-range': condition } = request.headers
  if (range?.includes(',')) exchangeOf(request).share.refused('ranges')
  return condition === undefined ? parseByteRange(range) : undefined
}

async function statBlob(
  request: FastifyRequest,
  cache: Cache | undefined,
  signal: AbortSignal,
): Promise<{ size: number; result: CacheOutcome }> {
  const { endpoint, place } = repositoryTarget(request, 'blob')
  if (asksUpstream(request)) return { size: await askForBlob(request, cache, signal), result: 'bypass' }
  const proof = cache?.proof(request, endpoint.digest) ?? 'none'
  const size =
    proof === 'none' ? undefined : await cache?.blobs.size(endpoint.digest).catch(unlessCacheTrouble)
  if (proof === 'fresh' && size !== undefined) return { size, result: 'hit' }
  return askOrFallBack<{ size: number; result: CacheOutcome }>(
    place.upstream,
    signal,
    async asker => ({ size: await askForBlob(request, cache, asker), result: 'bypass' }),
    size === undefined
      ? undefined
      : async () =>
          cache?.proof(request, endpoint.digest) === 'none' ? undefined : { size, result: 'stale' },
  )
}

/** A small blob that is in memory, with nothing to wait for. */
function sendHeld(
  request: FastifyRequest,
  reply: FastifyReply,
  bytes: Buffer,
  range: ByteRange | undefined,
): FastifyReply {
  const part = range && resolveByteRange(range, bytes.length)
  if (range && !part) throw rangeNotSatisfiable(bytes.length)
  const { first, last } = part ?? { first: 0, last: bytes.length - 1 }
  markBulk(reply.raw)
  void reply.headers(blobHeaders(request, 'hit')).header('content-length', String(last - first + 1))
  if (part) void reply.code(206).header('content-range', `bytes ${first}-${last}/${bytes.length}`)
  return reply.send(bytes.subarray(first, last + 1))
}

/** From the cache, or from a download that fills it; false, with nothing sent, when that is not to be. */
async function sendCached(
  request: FastifyRequest,
  reply: FastifyReply,
  cache: Cache,
  range: ByteRange | undefined,
): Promise<boolean> {
  for (let tries = 0; tries < 2; tries++) {
    const leased = await inTime(request, signal => leaseBlob(request, cache, range, signal))
    if (!leased) return false
    try {
      await sendLeased(request, reply, cache, leased, range)
      return true
    } catch (error) {
      // Found bad before any of it was sent, and set aside: what comes next is fetched anew.
      if (!(error instanceof DigestMismatch) || reply.sent) throw error
    } finally {
      leased.lease.release()
    }
  }
  return false
}

async function sendLeased(
  request: FastifyRequest,
  reply: FastifyReply,
  cache: Cache,
  { lease, stale }: ProvenLease,
  range: ByteRange | undefined,
): Promise<void> {
  const { endpoint } = repositoryTarget(request, 'blob')
  const { size } = lease
  const exchange = exchangeOf(request)
  const { gone } = exchange
  const part = range && resolveByteRange(range, size)
  if (range && !part) throw rangeNotSatisfiable(size)
  const { first, last } = part ?? { first: 0, last: size - 1 }
  if (part) lease.want(first)
  try {
    await sendLease(
      {
        lease,
        digest: endpoint.digest,
        first,
        last,
        whole: !part,
        turn: () => exchange.turn(),
        openRest: async position => {
          const rest = await sourceOf(request, cache).open({ first: position, last }, gone)
          if (rest.first === position && rest.last === last) return rest.body
          discard(rest.body)
          throw new Error('The upstream gave another range than the one it was asked for.')
        },
      },
      () => begin(request, reply, stale ? 'stale' : lease.result, part ? 206 : 200, { first, last, size }),
      reply.raw,
      gone,
    )
  } catch (error) {
    cutOff(request, reply, error)
  }
}

/** Straight from the upstream; a whole blob is checked against its digest on the way. */
async function sendStreamed(
  request: FastifyRequest,
  reply: FastifyReply,
  range: ByteRange | undefined,
): Promise<void> {
  const target = repositoryTarget(request, 'blob')
  const { endpoint, place } = target
  exchangeOf(request).share.askUpstream()
  const found = await inTime(request, signal =>
    place.upstream.blobs.open(place.upstreamRepository, endpoint.digest, range, signal),
  )
  if ('statusCode' in found) throw await refuse(found, target, 'GetDownloadUrlForLayer')
  exchangeOf(request).warning = found.warning
  begin(request, reply, 'bypass', found.status, found)
  try {
    await sendBlob(found.body, reply.raw, found.status === 200 ? digestCheck(endpoint.digest) : undefined)
  } catch (error) {
    cutOff(request, reply, error)
  }
}

/** Sends the headers, at once: a body may take its time, and clients wait thirty seconds for headers at most. */
function begin(
  request: FastifyRequest,
  reply: FastifyReply,
  result: CacheOutcome,
  status: 200 | 206,
  { first, last, size }: { readonly first: number; readonly last: number; readonly size: number },
): void {
  reply.hijack()
  markBulk(reply.raw)
  exchangeOf(request).answeredAfter = reply.elapsedTime
  const headers = {
    ...withWarning(blobHeaders(request, result), exchangeOf(request)),
    'content-length': String(last - first + 1),
    ...(status === 206 && { 'content-range': `bytes ${first}-${last}/${size}` }),
  }
  // Set first, not only written, so that the access line can read them.
  reply.raw.setHeaders(new Map(Object.entries(headers))).writeHead(status)
  if (result !== 'hit') reply.raw.flushHeaders()
}

/** After the headers there is no other way to say it: the client sees a body that is too short. */
function cutOff(request: FastifyRequest, reply: FastifyReply, error: unknown): void {
  if (!reply.sent) throw error
  reply.raw.destroy()
  if (!exchangeOf(request).gone.aborted) request.log.error({ err: error }, 'blob cut off')
}

type CacheOutcome = CacheResult | 'stale' | 'bypass'

function blobHeaders(request: FastifyRequest, result: CacheOutcome): Record<string, string> {
  const { endpoint, ns } = repositoryTarget(request, 'blob')
  return {
    ...API_VERSION,
    'content-type': 'application/octet-stream',
    'docker-content-digest': endpoint.digest,
    'accept-ranges': 'bytes',
    'x-cache': result,
    'x-request-id': request.id,
    ...(result === 'stale' && STALE_WARNING),
    ...(ns !== undefined && { 'oci-namespace': ns }),
  }
}

function rangeNotSatisfiable(size: number): OciError {
  return new OciError('SIZE_INVALID', 'The range begins beyond the end of the blob.', {
    status: 416,
    headers: { 'content-range': `bytes */${size}` },
  })
}

function unlessCacheTrouble(error: unknown): undefined {
  if (!(error instanceof CacheTrouble)) throw error
}

function deletions(app: FastifyInstance, cache: Cache | undefined): void {
  withoutBody(app)
  forward(app, {
    kind: 'blob',
    methods: ['DELETE'],
    prepare: request => {
      const { endpoint, place } = repositoryTarget(request, 'blob')
      return {
        upstream: place.upstream,
        action: 'BatchDeleteImage',
        method: 'DELETE',
        path: pathOf({ ...endpoint, name: place.upstreamRepository }),
        headers: outboundHeaders(request.headers, []),
        patience: PATIENCE.write,
      }
    },
    // A second try finds nothing left to delete.
    confirm: async (_request, outcome) =>
      isUncertain(outcome) && isStatus(outcome, 404) ? asDone(202) : undefined,
    failed: request => void cache?.revoke(request),
    answer: async (request, reply, answer) => {
      await cache?.revoke(request)
      if (answer.statusCode !== 202)
        throw await refuse(answer, repositoryTarget(request, 'blob'), 'BatchDeleteImage', {
          code: 'BLOB_UNKNOWN',
          what: 'such blob',
        })
      discard(answer.body)
      void reply.code(202).headers(API_VERSION).header('content-length', '0').send()
    },
  })
}
