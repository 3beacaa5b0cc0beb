import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { pathOf, queryOf } from '../oci/endpoint.js'
import { OciError } from '../oci/error.js'
import type { Capture } from '../store/capture.js'
import { discard } from '../upstream/discard.js'
import { headerOf, outboundHeaders, type RequestHeader } from '../upstream/headers.js'
import { ownPath } from '../upstream/location.js'
import type { Answer } from '../upstream/send.js'
import { markBulk } from './bulk.js'
import type { Cache } from './cache.js'
import { createCaptures } from './captures.js'
import { confirmBlob, isStatus, isUncertain } from './confirm.js'
import { createMissing } from './create-on-push.js'
import { sendCreated } from './created.js'
import { withinTime } from './deadline.js'
import { API_VERSION } from './errors.js'
import { exchangeOf, repositoryTarget } from './exchange.js'
import { forward } from './forward.js'
import { upstreamTooSlow } from './in-time.js'
import { PATIENCE } from './patience.js'
import { refuse } from './refuse.js'
import { unknownUpload, type RepositoryTarget } from './target.js'
import { UploadBody } from './upload-body.js'
import { UploadProgress, type UploadStep } from './upload-progress.js'
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
  const progress = new UploadProgress()
  const steps = new WeakMap<FastifyRequest, UploadStep>()
  const bodies = new WeakMap<FastifyRequest, UploadBody>()
  const captures = cache && createCaptures(app, cache)

  app.removeAllContentTypeParsers()
  // Reading starts only when the request is forwarded.
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  app.addHook('onRequest', async (_request, reply) => markBulk(reply.raw))

  forward(app, {
    kind: 'uploads',
    methods: ['POST'],
    prepare: async request => {
      const target = repositoryTarget(request, 'uploads')
      const endpoint = upstreamEndpoint(request, target)
      const query = queryOf(endpoint)
      return {
        upstream: target.place.upstream,
        action: 'InitiateLayerUpload',
        method: 'POST',
        path: pathOf(endpoint) + (query && `?${query}`),
        patience: target.endpoint.digest === undefined ? PATIENCE.write : PATIENCE.end,
        ...(endpoint.digest === undefined
          ? emptyBody(request)
          : await withBody(request, captures?.begin(request), WHOLE)),
      }
    },
    mend: (request, answer, body, signal) => createMissing(request, answer, body, signal, cache),
    confirm: async (request, outcome, signal) => {
      const target = repositoryTarget(request, 'uploads')
      const { mount, digest } = upstreamEndpoint(request, target)
      const wanted = mount ?? digest
      return wanted && isUncertain(outcome) ? confirmBlob(request, target.place, wanted, signal) : undefined
    },
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
      progress.learn(session)
      reply.header('oci-chunk-min-length', minChunkOf(answer))
      sendProgress(reply, 202, session)
    },
  })

  forward(app, {
    kind: 'upload',
    methods: ['PATCH'],
    prepare: async request => {
      const { session, target } = openSession(request)
      checkOffset(request, session)
      const described = await withBody(request, captures?.resume(request, session))
      steps.set(request, progress.begin(session))
      return {
        upstream: target.place.upstream,
        action: 'UploadLayerPart',
        method: 'PATCH',
        path: session.location,
        patience: PATIENCE.write,
        ...described,
      }
    },
    failed: noteFailure,
    answer: async (request, reply, answer) => {
      const { session, target } = openSession(request)
      const step = stepOf(request)
      // ECR answers 201 where the specification has 202, and a Range that stays behind; both are set right here.
      if (![200, 201, 202, 204].includes(answer.statusCode)) {
        // How much of the body it took before it failed, only the upstream knows.
        if (answer.statusCode >= 500) progress.end(session)
        else noteRefusal(answer, step, session)
        if (answer.statusCode === 416) refuseChunk(request, answer, target, session)
        throw await refuse(answer, target, 'UploadLayerPart')
      }
      const location = 'location' in answer.headers ? upstreamLocation(answer, target) : session.location
      discard(answer.body)
      captures?.hold(request, session)
      // A client that has not heard of it may go on with the session before.
      const { offset } = step.before ?? session
      const after = { ...session, location, offset: offset + bytesOf(request) }
      progress.taken(step, after)
      sendProgress(reply, 202, after)
    },
  })

  forward(app, {
    kind: 'upload',
    methods: ['PUT'],
    prepare: async request => {
      const ended = await endedBefore(request)
      if (ended) return ended
      const { session, target } = openSession(request)
      checkOffset(request, session)
      const { digest } = target.endpoint
      const described = await withBody(request, captures?.resume(request, session))
      steps.set(request, progress.begin(session))
      const query = new URLSearchParams(digest ? { digest } : {}).toString()
      return {
        upstream: target.place.upstream,
        action: 'CompleteLayerUpload',
        method: 'PUT',
        path: session.location + (session.location.includes('?') ? '&' : '?') + query,
        patience: PATIENCE.end,
        ...described,
      }
    },
    confirm: async (request, outcome, signal) => {
      const { endpoint, place } = repositoryTarget(request, 'upload')
      // An end that was sent before, by this client or by the mirror, leaves no upload to be found.
      const mayHaveEnded = isUncertain(outcome) || isStatus(outcome, 404)
      return mayHaveEnded && endpoint.digest
        ? confirmBlob(request, place, endpoint.digest, signal)
        : undefined
    },
    failed: noteFailure,
    answer: async (request, reply, answer) => {
      const { session, target } = sessionOf(request)
      const { name, digest } = target.endpoint
      if (answer.statusCode !== 201 || !digest) {
        noteRefusal(answer, stepOf(request), session)
        throw await refuse(answer, target, 'CompleteLayerUpload')
      }
      progress.end(session)
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
      // ECR has neither request and answers 404 or 405.
      if (statusCode >= 300 && statusCode !== 404 && statusCode !== 405)
        throw await refuse(answer, target, 'UploadLayerPart')
      discard(answer.body)
      if (request.method === 'GET') {
        const current = statusCode < 300 ? toldBy(answer, target, session) : knownAs(session)
        if (!current) throw unknownUpload()
        sendProgress(reply, 204, current)
        return
      }
      progress.end(session)
      captures?.discard(session)
      void reply.code(204).headers(API_VERSION).send()
    },
  })

  /**
   * A body to be sent once, as a stream, with the headers that describe it. One without any bytes is none, so that the
   * request can be sent again; of a chunked one the first bytes are waited for to know.
   */
  async function withBody(
    request: FastifyRequest,
    capture: Capture | undefined,
    describedBy: readonly RequestHeader[] = CHUNK,
  ): Promise<{ headers: Record<string, string>; body?: UploadBody }> {
    const { 'content-length': length, 'transfer-encoding': coding } = request.headers
    if (coding === undefined && Number(length ?? 0) === 0) return emptyBody(request)
    const body = new UploadBody(request.raw, capture)
    if (coding !== undefined && !(await body.hasBytes)) {
      body.destroy()
      return emptyBody(request)
    }
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
      .header('location', locationOf(session))
      .header('range', rangeOf(session))
      .header('docker-upload-uuid', session.id)
      .send()
  }

  /** A request that failed on the way may have left part of its body behind. */
  function noteFailure(request: FastifyRequest, error: unknown): void {
    const { session } = sessionOf(request)
    const answered = error instanceof OciError && error.status !== 502 && error.status !== 504
    if (answered) progress.untouched(stepOf(request), session)
    else if (bodies.has(request)) progress.end(session)
    else progress.forget(session)
  }

  /** What is refused for its rate was not looked at; what else a refusal leaves of an upload, only the upstream knows. */
  function noteRefusal({ statusCode }: Answer, step: UploadStep, session: UploadSession): void {
    if (statusCode === 429) progress.untouched(step, session)
    else progress.forget(session)
  }

  function stepOf(request: FastifyRequest): UploadStep {
    return steps.get(request) ?? { before: undefined }
  }

  /** The session of a request, if its upload can go on as far as is known. */
  function openSession(request: FastifyRequest): SessionTarget {
    const opened = sessionOf(request)
    if (progress.isOver(opened.session)) throw unknownUpload()
    return opened
  }

  /**
   * The answer to the end of an upload that is over already, if it ended with its blob: the client has not heard of it.
   * Undefined for one that can go on.
   */
  async function endedBefore(request: FastifyRequest): Promise<Answer | undefined> {
    const { session, target } = sessionOf(request)
    const { digest } = target.endpoint
    if (!progress.isOver(session) || !digest) return undefined
    const { gone, timeLimits } = exchangeOf(request)
    return withinTime(timeLimits.answer, gone, upstreamTooSlow, signal =>
      confirmBlob(request, target.place, digest, signal),
    )
  }

  /** The upload as far as the upstream says that it is; undefined when it does not say. */
  function toldBy(
    answer: Answer,
    target: RepositoryTarget<'upload'>,
    session: UploadSession,
  ): UploadSession | undefined {
    const last = /^(?:bytes=)?0-(\d{1,15})$/.exec(headerOf(answer.headers, 'range') ?? '')?.[1]
    if (last === undefined) return knownAs(session)
    // `0-0` is said of nothing and of one byte.
    const offset = Number(last) === 0 ? Math.min(session.offset, 1) : Number(last) + 1
    const location = 'location' in answer.headers ? upstreamLocation(answer, target) : session.location
    const told = { ...session, location, offset }
    if (progress.latest(session)) progress.learn(told)
    return told
  }

  /** The session, while this process knows that nothing was sent since it was given out. */
  function knownAs(session: UploadSession): UploadSession | undefined {
    return progress.latest(session)?.offset === session.offset ? session : undefined
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
    const current = progress.latest(session) ?? session
    if (first === current.offset && last >= first) {
      if (length === undefined || Number(length) === last - first + 1) return
      throw new OciError('SIZE_INVALID', 'The chunk is not as long as its Content-Range says.')
    }
    throw outOfOrder(`The chunk begins at byte ${first}, but the upload is at ${current.offset}.`, current)
  }

  /** A chunk that begins where the session says, and yet not where the upload is: the session is an old one. */
  function refuseChunk(
    request: FastifyRequest,
    answer: Answer,
    target: RepositoryTarget<'upload'>,
    session: UploadSession,
  ): void {
    if (request.headers['content-range'] === undefined) return
    const told = toldBy(answer, target, session)
    discard(answer.body)
    throw told ? outOfOrder(`The upload is at ${told.offset} already.`, told) : unknownUpload()
  }

  function outOfOrder(message: string, current: UploadSession): OciError {
    return new OciError('BLOB_UPLOAD_INVALID', message, {
      status: 416,
      headers: {
        location: locationOf(current),
        range: rangeOf(current),
        'docker-upload-uuid': current.id,
      },
    })
  }

  function locationOf(session: UploadSession): string {
    return `/v2/${session.name}/blobs/uploads/${sessions.seal(session)}`
  }
}

interface SessionTarget {
  readonly session: UploadSession
  readonly target: RepositoryTarget<'upload'>
}

function sessionOf(request: FastifyRequest): SessionTarget {
  const target = repositoryTarget(request, 'upload')
  const { session } = target
  if (!session) throw unknownUpload()
  return { session, target }
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
