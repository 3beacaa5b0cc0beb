import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { algorithmOf, digestOf, parseDigest, type Digest } from '../oci/digest.js'
import { pathOf, queryOf, ROUTES, type Endpoint } from '../oci/endpoint.js'
import { OciError } from '../oci/error.js'
import { digestsVouchedFor } from '../oci/manifest.js'
import { MAX_MANIFEST_BYTES } from '../oci/media-type.js'
import { discard } from '../upstream/discard.js'
import { headerOf, outboundHeaders } from '../upstream/headers.js'
import { readBody } from '../upstream/read-body.js'
import type { Answer } from '../upstream/send.js'
import type { Cache } from './cache.js'
import { sendCreated } from './created.js'
import { API_VERSION } from './errors.js'
import { exchangeOf, repositoryTarget } from './exchange.js'
import { forward } from './forward.js'
import { PATIENCE } from './patience.js'
import { refuse } from './refuse.js'
import { sendTimed } from './send-timed.js'
import type { RepositoryTarget } from './target.js'
import { withoutBody } from './without-body.js'

type ManifestTarget = RepositoryTarget<'manifest'>

/** A manifest as it is served: never transformed, its digest always known. */
interface Manifest {
  readonly mediaType: string
  readonly digest: Digest
  readonly size: number
  /** Undefined when only its headers were asked for. */
  readonly bytes: Buffer | undefined
}

/** Manifests: read by a handler that checks what it hands on, written and deleted by way of the proxy. */
export function manifests(app: FastifyInstance, { cache }: { readonly cache: Cache | undefined }): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: ROUTES.manifest,
    handler: async (request, reply) => {
      const head = request.method === 'HEAD'
      const manifest = (head ? await statManifest(request) : undefined) ?? (await fetchManifest(request))
      if (manifest.bytes) cache?.record(request, digestsVouchedFor(manifest.bytes))
      return sendManifest(reply, manifest, head)
    },
  })

  app.register(async api => pushes(api, cache))
  app.register(async api => deletions(api, cache))
}

function sendManifest(reply: FastifyReply, manifest: Manifest, head: boolean): FastifyReply {
  return reply
    .headers(API_VERSION)
    .header('content-type', manifest.mediaType)
    .header('content-length', String(manifest.size))
    .header('docker-content-digest', manifest.digest)
    .header('x-cache', 'bypass')
    .send(head ? undefined : manifest.bytes)
}

/** What a HEAD upstream tells, or undefined when that leaves the digest or the size open. */
async function statManifest(request: FastifyRequest): Promise<Manifest | undefined> {
  const target = repositoryTarget(request, 'manifest')
  const answer = await ask(request, target, 'HEAD')
  if (answer.statusCode !== 200) throw await refuse(answer, target, 'BatchGetImage')
  discard(answer.body)
  const digest = parseDigest(headerOf(answer.headers, 'docker-content-digest') ?? '')
  const length = headerOf(answer.headers, 'content-length') ?? ''
  if (!digest || !/^\d{1,9}$/.test(length)) return undefined
  checkReference(target, digest)
  return { mediaType: mediaTypeOf(answer), digest, size: Number(length), bytes: undefined }
}

async function fetchManifest(request: FastifyRequest): Promise<Manifest> {
  const target = repositoryTarget(request, 'manifest')
  const answer = await ask(request, target, 'GET')
  if (answer.statusCode !== 200) throw await refuse(answer, target, 'BatchGetImage')
  const { 'content-encoding': encoding = 'identity' } = answer.headers
  const bytes = encoding === 'identity' ? await readBody(answer.body, MAX_MANIFEST_BYTES) : undefined
  if (!bytes) {
    discard(answer.body)
    throw untrustworthy(target, 'sent a manifest that is compressed or larger than 4 MiB')
  }
  // ECR's GET says no digest, and what another registry says is only believed when it is true.
  const { reference } = target.endpoint
  const said =
    'digest' in reference
      ? reference.digest
      : parseDigest(headerOf(answer.headers, 'docker-content-digest') ?? '')
  const digest = digestOf(bytes, said && algorithmOf(said))
  if (said && digest !== said)
    throw untrustworthy(target, 'sent a manifest that does not have the digest it should have')
  return { mediaType: mediaTypeOf(answer), digest, size: bytes.length, bytes }
}

function ask(
  request: FastifyRequest,
  { endpoint, place }: ManifestTarget,
  method: 'GET' | 'HEAD',
): Promise<Answer> {
  const exchange = exchangeOf(request)
  return sendTimed(exchange, place.upstream, {
    action: 'BatchGetImage',
    method,
    path: upstreamPath(endpoint, place),
    headers: outboundHeaders(request.headers, ['accept']),
    signal: exchange.gone,
    patience: PATIENCE.read,
  })
}

/** PUT, as the client sent it, to the byte. It is small enough to be held, so that it can be sent again. */
function pushes(app: FastifyInstance, cache: Cache | undefined): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    '*',
    { parseAs: 'buffer', bodyLimit: MAX_MANIFEST_BYTES },
    (_request, body, done) => done(null, body),
  )

  forward(app, {
    kind: 'manifest',
    methods: ['PUT'],
    prepare: request => {
      const { endpoint, place } = repositoryTarget(request, 'manifest')
      if (!Buffer.isBuffer(request.body) || request.body.length === 0)
        throw new OciError('MANIFEST_INVALID', 'The manifest is empty.')
      return {
        upstream: place.upstream,
        action: 'PutImage',
        method: 'PUT',
        path: upstreamPath(endpoint, place),
        headers: {
          ...outboundHeaders(request.headers, ['content-type']),
          'content-length': String(request.body.length),
        },
        body: request.body,
        patience: PATIENCE.write,
      }
    },
    answer: async (request, reply, answer) => {
      const target = repositoryTarget(request, 'manifest')
      const { reference, name } = target.endpoint
      if (answer.statusCode !== 201 || !Buffer.isBuffer(request.body))
        throw await refuse(answer, target, 'PutImage')
      const digest = 'digest' in reference ? reference.digest : digestOf(request.body)
      cache?.record(request, digestsVouchedFor(request.body))
      sendCreated(reply, name, 'manifests', digest, answer)
    },
  })
}

function deletions(app: FastifyInstance, cache: Cache | undefined): void {
  withoutBody(app)
  forward(app, {
    kind: 'manifest',
    methods: ['DELETE'],
    prepare: request => {
      const { endpoint, place } = repositoryTarget(request, 'manifest')
      return {
        upstream: place.upstream,
        action: 'BatchDeleteImage',
        method: 'DELETE',
        path: upstreamPath(endpoint, place),
        headers: outboundHeaders(request.headers, []),
        patience: PATIENCE.write,
      }
    },
    failed: request => void cache?.revoke(request),
    answer: async (request, reply, answer) => {
      await cache?.revoke(request)
      if (answer.statusCode !== 202 && answer.statusCode !== 200) {
        throw await refuse(answer, repositoryTarget(request, 'manifest'), 'BatchDeleteImage')
      }
      discard(answer.body)
      void reply.code(202).headers(API_VERSION).header('content-length', '0').send()
    },
  })
}

function upstreamPath(
  endpoint: Extract<Endpoint, { kind: 'manifest' }>,
  { upstreamRepository }: ManifestTarget['place'],
): string {
  const query = queryOf(endpoint)
  return pathOf({ ...endpoint, name: upstreamRepository }) + (query && `?${query}`)
}

function checkReference(target: ManifestTarget, digest: Digest): void {
  const { reference } = target.endpoint
  if (
    'digest' in reference &&
    algorithmOf(reference.digest) === algorithmOf(digest) &&
    reference.digest !== digest
  ) {
    throw untrustworthy(target, 'names another digest than the one it was asked for')
  }
}

function mediaTypeOf({ headers }: Answer): string {
  return headerOf(headers, 'content-type') ?? 'application/octet-stream'
}

function untrustworthy({ place }: ManifestTarget, what: string): OciError {
  return new OciError(
    'UNKNOWN',
    `The upstream "${place.upstream.name}" ${what}; ecr-mirror does not pass it on.`,
    { status: 502 },
  )
}
