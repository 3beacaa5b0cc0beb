import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { parseByteRange } from '../oci/byte-range.js'
import { pathOf, ROUTES } from '../oci/endpoint.js'
import { OciError } from '../oci/error.js'
import type { BlobBody } from '../upstream/blob-source.js'
import { discard } from '../upstream/discard.js'
import { refusalOf } from '../upstream/dialect.js'
import { outboundHeaders } from '../upstream/headers.js'
import type { EcrAction } from '../upstream/ecr-action.js'
import type { Answer } from '../upstream/send.js'
import { withinTime } from './deadline.js'
import { API_VERSION } from './errors.js'
import { exchangeOf, repositoryTarget } from './exchange.js'
import { forward } from './forward.js'
import { PATIENCE } from './patience.js'
import { sendBlob } from './send-blob.js'
import type { RepositoryTarget } from './target.js'

/** The contract's promise: by then a blob's headers have gone out, or a refusal has. In milliseconds. */
const HEADERS_WITHIN = 10_000

/** Blobs: read by handlers that follow redirects themselves and check what passes; deleted by way of the proxy. */
export function blobs(app: FastifyInstance): void {
  app.head(ROUTES.blob, async (request, reply) => {
    const { endpoint, place } = repositoryTarget(request, 'blob')
    const found = await inTime(request, signal =>
      place.upstream.blobs.stat(place.upstreamRepository, endpoint.digest, signal),
    )
    if (isAnswer(found))
      throw await refuse(found, repositoryTarget(request, 'blob'), 'BatchCheckLayerAvailability')
    return reply.headers(blobHeaders(request)).header('content-length', String(found.size)).send()
  })

  app.get(ROUTES.blob, async (request, reply) => {
    const target = repositoryTarget(request, 'blob')
    const { endpoint, place } = target
    const range = parseByteRange(request.headers.range)
    const found = await inTime(request, signal =>
      place.upstream.blobs.open(place.upstreamRepository, endpoint.digest, range, signal),
    )
    if (isAnswer(found)) throw await refuse(found, target, 'GetDownloadUrlForLayer')
    await respond(request, reply, found, target)
    return reply
  })

  app.register(deletions)
}

/** Streams a blob; a whole one is checked against its digest on the way. */
async function respond(
  request: FastifyRequest,
  reply: FastifyReply,
  blob: BlobBody,
  { endpoint }: RepositoryTarget<'blob'>,
): Promise<void> {
  const headers = {
    ...blobHeaders(request),
    'content-length': String(blob.length),
    ...(blob.status === 206 && { 'content-range': `bytes ${blob.first}-${blob.last}/${blob.size}` }),
  }
  reply.hijack()
  reply.raw.writeHead(blob.status, headers)
  try {
    await sendBlob(blob.body, reply.raw, blob.status === 200 ? endpoint.digest : undefined)
  } catch (error) {
    // The socket is cut already: the client must see a body that is too short, never one that looks complete.
    if (!exchangeOf(request).gone.aborted) request.log.error({ err: error }, 'blob cut off')
  }
}

function blobHeaders(request: FastifyRequest): Record<string, string> {
  const { endpoint, ns } = repositoryTarget(request, 'blob')
  return {
    ...API_VERSION,
    'content-type': 'application/octet-stream',
    'docker-content-digest': endpoint.digest,
    'accept-ranges': 'bytes',
    'x-cache': 'bypass',
    'x-request-id': request.id,
    ...(ns !== undefined && { 'oci-namespace': ns }),
  }
}

function inTime<T>(request: FastifyRequest, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = (): OciError =>
    new OciError('UNKNOWN', 'The upstream registry did not answer in time; try again.', {
      status: 504,
      retryAfter: 1,
    })
  return withinTime(HEADERS_WITHIN, exchangeOf(request).gone, late, work)
}

function isAnswer(found: object): found is Answer {
  return 'statusCode' in found
}

async function deletions(app: FastifyInstance): Promise<void> {
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
    answer: async (request, reply, answer) => {
      if (answer.statusCode !== 202)
        throw await refuse(answer, repositoryTarget(request, 'blob'), 'BatchDeleteImage')
      discard(answer.body)
      void reply.code(202).headers(API_VERSION).header('content-length', '0').send()
    },
  })
}

function refuse(answer: Answer, { place }: RepositoryTarget<'blob'>, action: EcrAction): Promise<OciError> {
  return refusalOf(answer, { action, upstream: place.upstream.name, repository: place.upstreamRepository })
}
