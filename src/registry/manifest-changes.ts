import type { FastifyRequest } from 'fastify'
import { algorithmOf, digestOf, type Digest } from '../oci/digest.js'
import { blobsVouchedFor, mediaTypeIn } from '../oci/manifest.js'
import type { Tag } from '../oci/reference.js'
import type { Cache } from './cache.js'
import { repositoryTarget } from './exchange.js'

/**
 * The upstream has taken a manifest: it is kept, and is what its tags stand for from now on, whatever was known of them.
 * Resolves when a restart would not undo that.
 */
export async function learnPushed(
  request: FastifyRequest,
  cache: Cache,
  digest: Digest,
  bytes: Buffer,
): Promise<void> {
  await forgetTags(request, cache)
  const mediaType = contentTypeOf(request)
  const said = mediaTypeIn(bytes)
  // What calls itself something else than its sender does is left for the upstream to name.
  const isClear = mediaType !== undefined && (said === undefined || said === mediaType)
  if (!isClear || digestOf(bytes, algorithmOf(digest)) !== digest) return
  const manifest = { digest, mediaType, size: bytes.length }
  cache.manifests.keep(digest, bytes)
  cache.recordManifest(request, manifest)
  cache.record(request, blobsVouchedFor(bytes))
  const scope = cache.scope(request)
  for (const tag of tagsOf(request)) cache.tags.recordPush(cache.tags.mark({ scope, tag }), manifest)
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
