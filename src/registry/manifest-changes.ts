import type { FastifyRequest } from 'fastify'
import { blobsVouchedFor } from '../oci/ambiguity.js'
import { algorithmOf, type Digest } from '../oci/digest.js'
import type { Tag } from '../oci/reference.js'
import { digestInTurn } from '../store/digest-in-turn.js'
import type { TagMark } from '../store/tag-cache.js'
import type { Cache } from './cache.js'
import { recordBlobs } from './record-blobs.js'
import { repositoryTarget } from './exchange.js'

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
  if (mediaType === undefined || (said !== undefined && said !== mediaType)) return
  const manifest = { digest, mediaType, size: bytes.length }
  cache.manifests.keep(digest, bytes)
  cache.recordManifest(request, manifest)
  await recordBlobs(request, cache, blobsVouchedFor(reading, mediaType))
  for (const mark of since) cache.tags.recordPush(mark, manifest)
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
