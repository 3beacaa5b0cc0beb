import type { FastifyRequest } from 'fastify'
import { blobsVouchedFor } from '../oci/ambiguity.js'
import { algorithmOf, digestOf, type Digest } from '../oci/digest.js'
import type { OciError } from '../oci/error.js'
import { isManifestType } from '../oci/media-type.js'
import type { Tag } from '../oci/reference.js'
import { digestInTurn } from '../store/digest-in-turn.js'
import type { TagMark } from '../store/tag-cache.js'
import type { Cache } from './cache.js'
import { ociErrorIn } from '../upstream/dialect.js'
import { recordBlobs } from './record-blobs.js'
import { repositoryTarget } from './exchange.js'
import { forgetManifest } from './forget-manifest.js'

/** Taken before a push goes upstream: of two that overlap nobody here knows which the upstream did last. */
const marks = new WeakMap<FastifyRequest, readonly TagMark[]>()

/** A push is about to be sent. */
export function beginPush(request: FastifyRequest, cache: Cache): void {
  const scope = cache.scope(request)
  marks.set(
    request,
    tagsOf(request).map(tag => cache.tags.mark({ scope, tag })),
  )
}

/**
 * The upstream has taken a manifest: it is kept, and is what its tags stand for from now on, whatever was known of them;
 * unless another push or deletion came between, after which the upstream has to be asked. Resolves when a restart would
 * not undo that.
 */
export async function learnPushed(
  request: FastifyRequest,
  cache: Cache,
  digest: Digest,
  bytes: Buffer,
): Promise<void> {
  const untouched = (marks.get(request) ?? []).filter(mark => cache.tags.holds(mark))
  const forgotten = forgetTags(request, cache)
  // At once, before anybody else can come between.
  const since = untouched.map(name => cache.tags.mark(name))
  await forgotten
  const mediaType = contentTypeOf(request)
  if ((await digestInTurn(bytes, algorithmOf(digest))) !== digest) return
  const reading = await cache.readings.read(digest, bytes)
  const said = reading.mediaType
  // What calls itself something else than its sender does is left for the upstream to name.
  if (mediaType === undefined || !isManifestType(mediaType)) return
  if (said !== undefined && said !== mediaType) return
  const manifest = { digest, mediaType, size: bytes.length }
  cache.manifests.keep(digest, bytes)
  cache.recordManifest(request, manifest)
  await recordBlobs(request, cache, blobsVouchedFor(reading, mediaType))
  for (const mark of since) cache.tags.recordPush(mark, manifest)
}

/** Refusals of a push that say nothing about what it names: permission, time, size and rate. */
const ABOUT_SOMETHING_ELSE: ReadonlySet<number> = new Set([401, 403, 408, 413, 429])

/**
 * The upstream has refused a manifest. It may be for want of what the manifest names, so nothing is believed of that any
 * more: whoever asks next, this client before it tries again or another mirror's, is told what the upstream says.
 * Resolves when a restart would not undo that.
 */
export async function forgetRefused(
  request: FastifyRequest,
  cache: Cache,
  bytes: Buffer,
  refusal: OciError,
): Promise<void> {
  const { status } = refusal
  if (status < 400 || status >= 500 || ABOUT_SOMETHING_ELSE.has(status)) return
  // An immutable tag that is taken already; a release that is pushed twice is not doubted for that.
  if (ociErrorIn(refusal.toBody())?.code === 'TAG_INVALID') return
  const { reference } = repositoryTarget(request, 'manifest').endpoint
  const digest = 'digest' in reference ? reference.digest : digestOf(bytes)
  await forgetManifest(request, cache, digest, bytes)
}

/** What the tags of a push stand for is another thing now, or may be; so may be what refers to something. */
export async function forgetTags(request: FastifyRequest, cache: Cache): Promise<void> {
  const scope = cache.scope(request)
  cache.referrers.drop(scope)
  await Promise.all(tagsOf(request).map(tag => cache.tags.drop({ scope, tag })))
}

/** A tag, or an image with all its tags, was deleted, or may have been. */
export async function forgetDeleted(request: FastifyRequest, cache: Cache): Promise<void> {
  const scope = cache.scope(request)
  const [tag] = tagsOf(request)
  cache.referrers.drop(scope)
  await Promise.all([
    tag === undefined ? cache.tags.dropAll(scope) : cache.tags.drop({ scope, tag }),
    cache.revoke(request),
  ])
}

function tagsOf(request: FastifyRequest): readonly Tag[] {
  const { reference, tags } = repositoryTarget(request, 'manifest').endpoint
  return 'tag' in reference ? [reference.tag] : tags
}

function contentTypeOf({ headers }: FastifyRequest): string | undefined {
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  return type === '' ? undefined : type
}
