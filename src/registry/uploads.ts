import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import { pathOf, queryOf } from '../oci/endpoint.js'
import { OciError } from '../oci/error.js'
import type { Capture } from '../store/capture.js'
import { discard } from '../upstream/discard.js'
import { headerOf, outboundHeaders, type RequestHeader } from '../upstream/headers.js'
import { ownPath } from '../upstream/location.js'
import type { Answer } from '../upstream/send.js'
import type { Cache } from './cache.js'
import { createCaptures } from './captures.js'
import { createMissing } from './create-on-push.js'
import { sendCreated } from './created.js'
import { API_VERSION } from './errors.js'
import { exchangeOf, repositoryTarget } from './exchange.js'
import { forward } from './forward.js'
import { PATIENCE } from './patience.js'
import { refuse } from './refuse.js'
import { unknownUpload, type RepositoryTarget } from './target.js'
import { UploadBody } from './upload-body.js'
import { ownerOf, SESSION_LIFETIME, type UploadSession, type UploadSessions } from './upload-session.js'
import { upstreamEndpoint } from './mount.js'

/**
 * The smallest chunk ECR takes, the last one of an upload excepted, in bytes (AWS: UploadLayerPart, "at least 5 MB");
 * said to clients as OCI-Chunk-Min-Length (distribution-spec, "Pushing a blob in chunks").
 */
const ECR_MIN_CHUNK = 5 * 1024 * 1024

/** What describes a body that is a whole blob, and one that is part of one. */
const WHOLE = ['content-type', 'content-length'] as const
const CHUNK = [...WHOLE, 'content-range'] as const

/**
 * Blob uploads: begun, continued, finished, asked after and given up. Bodies stream, and a cache takes them in as they
 * pass.
 */
export function uploads(
  app: FastifyInstance,
  { sessions, cache }: { readonly sessions: UploadSessions; readonly cache: Cache | undefined },
): void {
  /** Uploads whose bytes at the upstream are no longer what the session says. */
  const broken = new LRUCache<string, true>({ max: 10_000, ttl: SESSION_LIFETIME })
  /** Uploads that ended with their blob: a PUT may be tried again, but there is nothing left to ask after. */
  const finished = new LRUCache<string, true>({ max: 10_000, ttl: SESSION_LIFETIME })
  const bodies = new WeakMap<FastifyRequest, UploadBody>()
  const captures = cache && createCaptures(app, cache)

  app.removeAllContentTypeParsers()
  // Reading starts only when the request is forwarded.
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))

  forward(app, {
    kind: 'uploads',
    methods: ['POST'],
    prepare: request => {
      const target = repositoryTarget(request, 'uploads')
      const endpoint = upstreamEndpoint(request, target)
      const query = queryOf(endpoint)
      return {
        upstream: target.place.upstream,
        action: 'InitiateLayerUpload',
        method: 'POST',
        path: pathOf(endpoint) + (query && `?${query}`),
        patience: PATIENCE.write,
        ...(endpoint.digest === undefined
          ? emptyBody(request)
          : withBody(request, captures?.begin(request), WHOLE)),
      }
    },
    mend: (request, answer, body) => createMissing(request, answer, body, cache),
    answer: async (request, reply, answer) => {
      const target = repositoryTarget(request, 'uploads')
      const { endpoint, place } = target
      const { mount, digest } = upstreamEndpoint(request, target)
      const created = mount ?? digest
      if (answer.statusCode === 201 && created) {
        cache?.record(request, [created])
        exchangeOf(request).pushed = digest ? bytesOf(request) : 0
        if (digest) captures?.keep(request, digest, bytesOf(request))
        sendCreated(reply, endpoint.name, 'blobs', created, answer)
        return
      }
      if (answer.statusCode !== 202) throw await refuse(answer, target, 'InitiateLayerUpload')
      const location = upstreamLocation(answer, target)
      discard(answer.body)
      const session: UploadSession = {
        id: randomUUID(),
        principal: owner(request),
        upstream: place.upstream.name,
        registry: place.upstream.ecr.host,
        name: endpoint.name,
        repository: place.upstreamRepository,
        location,
        offset: 0,
        expires: Date.now() + SESSION_LIFETIME,
      }
      reply.header('oci-chunk-min-length', minChunkOf(answer))
      sendProgress(reply, 202, session)
    },
  })

  forward(app, {
    kind: 'upload',
    methods: ['PATCH'],
    prepare: request => {
      const { session, target } = openSession(request)
      checkOffset(request, session)
      return {
        upstream: target.place.upstream,
        action: 'UploadLayerPart',
        method: 'PATCH',
        path: session.location,
        patience: PATIENCE.write,
        ...withBody(request, captures?.resume(request, session)),
      }
    },
    failed: markBroken,
    answer: async (request, reply, answer) => {
      const { session, target } = openSession(request)
      // ECR answers 201 where the specification has 202, and a Range that stays behind; both are set right here.
      if (![200, 201, 202, 204].includes(answer.statusCode)) {
        // How much of the body it took before it failed, only the upstream knows.
        if (answer.statusCode >= 500) broken.set(session.id, true)
        throw await refuse(answer, target, 'UploadLayerPart')
      }
      const location = 'location' in answer.headers ? upstreamLocation(answer, target) : session.location
      discard(answer.body)
      captures?.hold(request, session)
      sendProgress(reply, 202, { ...session, location, offset: session.offset + bytesOf(request) })
    },
  })

  forward(app, {
    kind: 'upload',
    methods: ['PUT'],
    prepare: request => {
      const { session, target } = openSession(request)
      checkOffset(request, session)
      const { digest } = target.endpoint
      const query = new URLSearchParams(digest ? { digest } : {}).toString()
      return {
        upstream: target.place.upstream,
        action: 'CompleteLayerUpload',
        method: 'PUT',
        path: session.location + (session.location.includes('?') ? '&' : '?') + query,
        patience: PATIENCE.write,
        ...withBody(request, captures?.resume(request, session)),
      }
    },
    failed: markBroken,
    answer: async (request, reply, answer) => {
      const { session, target } = openSession(request)
      const { name, digest } = target.endpoint
      if (answer.statusCode !== 201 || !digest) throw await refuse(answer, target, 'CompleteLayerUpload')
      finished.set(session.id, true)
      exchangeOf(request).pushed = session.offset + bytesOf(request)
      cache?.record(request, [digest])
      captures?.keep(request, digest, session.offset + bytesOf(request))
      sendCreated(reply, name, 'blobs', digest, answer)
    },
  })

  forward(app, {
    kind: 'upload',
    methods: ['GET', 'DELETE'],
    prepare: request => {
      const { session, target } = openSession(request)
      if (finished.has(session.id)) throw unknownUpload()
      return {
        upstream: target.place.upstream,
        action: 'UploadLayerPart',
        method: request.method === 'GET' ? 'GET' : 'DELETE',
        path: session.location,
        headers: outboundHeaders(request.headers, []),
        patience: PATIENCE.read,
      }
    },
    answer: async (request, reply, answer) => {
      const { session, target } = openSession(request)
      const { statusCode } = answer
      // ECR has neither request and answers 404 or 405; the session itself knows how far the upload is.
      if (statusCode >= 300 && statusCode !== 404 && statusCode !== 405)
        throw await refuse(answer, target, 'UploadLayerPart')
      discard(answer.body)
      if (request.method === 'GET') {
        sendProgress(reply, 204, session)
        return
      }
      broken.set(session.id, true)
      captures?.discard(session)
      void reply.code(204).headers(API_VERSION).send()
    },
  })

  /** A body to be sent once, as a stream, with the headers that describe it. */
  function withBody(
    request: FastifyRequest,
    capture: Capture | undefined,
    describedBy: readonly RequestHeader[] = CHUNK,
  ): { headers: Record<string, string>; body?: UploadBody } {
    const length = request.headers['content-length']
    if (length === undefined && request.headers['transfer-encoding'] === undefined) return emptyBody(request)
    const body = new UploadBody(request.raw, capture)
    bodies.set(request, body)
    return {
      headers: outboundHeaders(request.headers, describedBy),
      body,
    }
  }

  /** Bytes of the request's body that went upstream. */
  function bytesOf(request: FastifyRequest): number {
    return bodies.get(request)?.bytes ?? 0
  }

  /** Where the upload goes on and how far it is. Locations are relative: no proxy in front can make them wrong. */
  function sendProgress(reply: FastifyReply, status: 202 | 204, session: UploadSession): void {
    void reply
      .code(status)
      .headers(API_VERSION)
      .header('location', `/v2/${session.name}/blobs/uploads/${sessions.seal(session)}`)
      .header('range', rangeOf(session))
      .header('docker-upload-uuid', session.id)
      .send()
  }

  /** A request that failed on the way may have left part of its body behind. */
  function markBroken(request: FastifyRequest, error: unknown): void {
    const { target } = exchangeOf(request)
    const answered = error instanceof OciError && error.status !== 502 && error.status !== 504
    if (target?.session && bodies.has(request) && !answered) broken.set(target.session.id, true)
  }

  /** The session of a request, if its upload is whole so far. */
  function openSession(request: FastifyRequest): {
    session: UploadSession
    target: RepositoryTarget<'upload'>
  } {
    const target = repositoryTarget(request, 'upload')
    const { session } = target
    if (!session || broken.has(session.id)) throw unknownUpload()
    return { session, target }
  }
}

/** Whose a session is that this request begins. */
function owner(request: FastifyRequest): string {
  const { principal } = exchangeOf(request)
  if (!principal) throw new Error('The request was let in without anybody asking it.')
  return ownerOf(principal)
}

function minChunkOf({ headers }: Answer): string {
  const said = headerOf(headers, 'oci-chunk-min-length') ?? ''
  return /^[1-9]\d{0,11}$/.test(said) ? said : String(ECR_MIN_CHUNK)
}

function emptyBody(request: FastifyRequest): { headers: Record<string, string> } {
  return { headers: { ...outboundHeaders(request.headers, ['content-type']), 'content-length': '0' } }
}

/** A chunk must begin where the last one ended (distribution-spec, "Pushing a blob in chunks"). */
function checkOffset(request: FastifyRequest, session: UploadSession): void {
  const contentRange = request.headers['content-range']
  if (contentRange === undefined) return
  const range = /^(?:bytes )?(\d{1,15})-(\d{1,15})(?:\/(?:\d{1,15}|\*))?$/.exec(contentRange)
  if (!range)
    throw new OciError('BLOB_UPLOAD_INVALID', 'The Content-Range of a chunk is <first>-<last>, in bytes.')
  const [first, last] = [Number(range[1]), Number(range[2])]
  const length = request.headers['content-length']
  if (first === session.offset && last >= first) {
    if (length === undefined || Number(length) === last - first + 1) return
    throw new OciError('SIZE_INVALID', 'The chunk is not as long as its Content-Range says.')
  }
  throw new OciError(
    'BLOB_UPLOAD_INVALID',
    `The chunk begins at byte ${first}, but the upload is at ${session.offset}.`,
    {
      status: 416,
      headers: { range: rangeOf(session), 'docker-upload-uuid': session.id },
    },
  )
}

function upstreamLocation(answer: Answer, { place }: RepositoryTarget<'uploads' | 'upload'>): string {
  const location = ownPath(headerOf(answer.headers, 'location'), place.upstream.settings)
  if (location !== undefined) return location
  discard(answer.body)
  throw new OciError(
    'UNKNOWN',
    `The upstream "${place.upstream.name}" named no usable place for the upload.`,
    { status: 502 },
  )
}

/** As the specification has it: inclusive, and `0-0` for nothing yet. */
function rangeOf({ offset }: UploadSession): string {
  return `0-${Math.max(0, offset - 1)}`
}
