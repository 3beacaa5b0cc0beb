import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { digestOf, type Digest } from '../oci/digest.js'
import { ROUTES } from '../oci/endpoint.js'
import { OciError } from '../oci/error.js'
import { ManifestReadings } from '../store/manifest-readings.js'
import { isManifestType } from '../oci/media-type.js'
import { discard } from '../upstream/discard.js'
import { outboundHeaders } from '../upstream/headers.js'
import type { Cache } from './cache.js'
import { confirmDeletion, confirmPush } from './confirm-manifest.js'
import { sendCreated } from './created.js'
import { API_VERSION } from './errors.js'
import { exchangeOf, repositoryTarget } from './exchange.js'
import { FairFlights } from './fair-flights.js'
import { forward } from './forward.js'
import { inTime } from './in-time.js'
import { findManifest, type FoundManifest } from './manifest-access.js'
import { manifestBodies } from './manifest-body.js'
import { beginPush, forgetDeleted, forgetRefused, forgetTags, learnPushed } from './manifest-changes.js'
import { askByHead } from './manifest-head.js'
import { upstreamPath, type Manifest, type ManifestTarget, type WholeManifest } from './manifest-source.js'
import { PATIENCE } from './patience.js'
import { createPullThrough, type PullThrough } from './pull-through.js'
import { refuse } from './refuse.js'
import { asksUpstream } from './revalidation.js'
import { STALE_WARNING } from './stale.js'
import { withoutBody } from './without-body.js'

/** Manifests: read by a handler that checks what it hands on, written and deleted by way of the proxy. */
export function manifests(app: FastifyInstance, { cache }: { readonly cache: Cache | undefined }): void {
  const sources = cache && { cache, flights: new FairFlights<WholeManifest>(cache.questions) }
  const readings = cache?.readings ?? new ManifestReadings()
  const source = createPullThrough(readings)
  app.route({
    method: ['GET', 'HEAD'],
    url: ROUTES.manifest,
    handler: async (request, reply) => {
      const target = repositoryTarget(request, 'manifest')
      const found = await inTime<Found>(request, signal => find(request, target, signal))
      if (found.manifest.bytes) exchangeOf(request).share.hold(found.manifest.bytes)
      return sendManifest(reply, found, request.method === 'HEAD')
    },
  })

  app.register(async api => pushes(api, cache, readings))
  app.register(async api => deletions(api, cache))

  async function find(request: FastifyRequest, target: ManifestTarget, signal: AbortSignal): Promise<Found> {
    if (!sources) return passThrough(request, source, signal)
    if (request.method === 'HEAD' && asksUpstream(request))
      return { manifest: await askByHead(request, target, { ...sources, source }, signal), result: 'bypass' }
    return findManifest(request, target, { ...sources, source }, signal)
  }
}

interface Found {
  readonly manifest: Manifest
  readonly result: FoundManifest['result'] | 'bypass'
}

async function passThrough(
  request: FastifyRequest,
  source: PullThrough,
  signal: AbortSignal,
): Promise<Found> {
  const target = repositoryTarget(request, 'manifest')
  const stat = request.method === 'HEAD' ? await source.stat(request, target, signal) : undefined
  return { manifest: stat ?? (await source.fetch(request, target, signal)), result: 'bypass' }
}

function sendManifest(reply: FastifyReply, { manifest, result }: Found, head: boolean): FastifyReply {
  return (
    reply
      .headers(API_VERSION)
      .headers(result === 'stale' ? STALE_WARNING : {})
      // A type that is no manifest's comes from whoever pushed it, and is not repeated.
      .header(
        'content-type',
        isManifestType(manifest.mediaType) ? manifest.mediaType : 'application/octet-stream',
      )
      .header('content-length', String(manifest.size))
      .header('docker-content-digest', manifest.digest)
      .header('x-cache', result)
      .send(head ? undefined : manifest.bytes)
  )
}

/** PUT, as the client sent it, to the byte. It is small enough to be held, so that it can be sent again. */
function pushes(app: FastifyInstance, cache: Cache | undefined, readings: ManifestReadings): void {
  manifestBodies(app, readings)

  forward(app, {
    kind: 'manifest',
    methods: ['PUT'],
    prepare: request => {
      const target = repositoryTarget(request, 'manifest')
      if (!Buffer.isBuffer(request.body) || request.body.length === 0)
        throw new OciError('MANIFEST_INVALID', 'The manifest is empty.')
      if (cache) beginPush(request, cache)
      return {
        upstream: target.place.upstream,
        action: 'PutImage',
        method: 'PUT',
        path: upstreamPath(target),
        headers: {
          ...outboundHeaders(request.headers, ['content-type']),
          'content-length': String(request.body.length),
        },
        body: request.body,
        patience: PATIENCE.end,
      }
    },
    confirm: confirmPush,
    // Whether it was taken is not known, so neither is what its tags stand for.
    failed: request => void (cache && forgetTags(request, cache)),
    answer: async (request, reply, answer) => {
      const target = repositoryTarget(request, 'manifest')
      if (answer.statusCode !== 201 || !Buffer.isBuffer(request.body)) {
        // It may be the answer to a second attempt, after a first that was taken.
        if (cache) await forgetTags(request, cache)
        const refusal = await refuse(answer, target, 'PutImage')
        if (cache && Buffer.isBuffer(request.body)) await forgetRefused(request, cache, request.body, refusal)
        throw refusal
      }
      const digest = digestPushed(target.endpoint.reference, request.body)
      exchangeOf(request).pushed = request.body.length
      if (cache) await learnPushed(request, cache, digest, request.body)
      sendCreated(reply, target.endpoint.name, 'manifests', digest, answer)
    },
  })
}

function deletions(app: FastifyInstance, cache: Cache | undefined): void {
  withoutBody(app)
  forward(app, {
    kind: 'manifest',
    methods: ['DELETE'],
    prepare: request => {
      const target = repositoryTarget(request, 'manifest')
      return {
        upstream: target.place.upstream,
        action: 'BatchDeleteImage',
        method: 'DELETE',
        path: upstreamPath(target),
        headers: outboundHeaders(request.headers, []),
        patience: PATIENCE.write,
      }
    },
    confirm: confirmDeletion,
    failed: request => void (cache && forgetDeleted(request, cache)),
    answer: async (request, reply, answer) => {
      if (cache) await forgetDeleted(request, cache)
      if (answer.statusCode !== 202 && answer.statusCode !== 200) {
        throw await refuse(answer, repositoryTarget(request, 'manifest'), 'BatchDeleteImage')
      }
      discard(answer.body)
      void reply.code(202).headers(API_VERSION).header('content-length', '0').send()
    },
  })
}

/** The digest that a manifest is pushed under; the upstream has made sure of one that the client named. */
function digestPushed(
  reference: { readonly digest: Digest } | { readonly tag: string },
  bytes: Buffer,
): Digest {
  return 'digest' in reference ? reference.digest : digestOf(bytes)
}
