import type { FastifyRequest } from 'fastify'
import type { Digest } from '../oci/digest.js'
import { digestsNamed } from '../oci/manifest.js'
import type { TagName } from '../store/tag-cache.js'
import { saysNo } from '../upstream/verdict.js'
import { Yielder } from '../yielder.js'
import type { Cache } from './cache.js'
import type { ManifestTarget } from './manifest-source.js'
import type { PullThrough } from './pull-through.js'

/** Digests that are forgotten one by one, at most, and bytes of manifests that are read to find them. */
const MAX_DIGESTS = 5_000
const MAX_BYTES = 4 * 1024 * 1024

/** A tag of the request's repository. */
export function tagName(request: FastifyRequest, cache: Cache, tag: string): TagName {
  return { scope: cache.scope(request), tag }
}

/**
 * The upstream said no to a manifest. Asked for by its digest, it is forgotten with all that is in it. A tag loses the
 * answer to what this client asked; whether it is gone for everybody is asked once more, in the way of those for whom
 * it has answers, since the no may be to what this one client takes. Throws nothing of that second question.
 */
export async function noteRefusal(
  request: FastifyRequest,
  { target, cache, source }: NoteRefusalOptions,
  signal: AbortSignal,
): Promise<void> {
  const { reference } = target.endpoint
  if ('digest' in reference) {
    await forgetManifest(request, cache, reference.digest)
    return
  }
  const name = tagName(request, cache, reference.tag)
  const others = await cache.tags.forget(name, request.headers.accept)
  if (others.length === 0) return
  try {
    await source.stat(request, target, signal, others.join(','))
  } catch (error) {
    if (saysNo(error)) await cache.tags.drop(name)
  }
}

export interface NoteRefusalOptions {
  readonly target: ManifestTarget
  readonly cache: Cache
  readonly source: Pick<PullThrough, 'stat'>
}

/**
 * Nothing is believed any more of a manifest, of what `bytes` name, if they are given, and of what the manifests among
 * these name in turn. Where that is too much to look at, nothing is believed of the repository. Resolves when a restart
 * would not undo that.
 */
export async function forgetManifest(
  request: FastifyRequest,
  cache: Cache,
  digest: Digest,
  bytes?: Buffer,
): Promise<void> {
  const named = bytes ? digestsNamed(await cache.readings.read(digest, bytes)) : []
  const found = named && (await digestsUnder(request, cache, [digest, ...named]))
  await (found ? cache.forget(request, ...found) : cache.revoke(request))
}

/** The digests and, of those that are known as manifests, what they name; undefined when it is too much, or not known. */
async function digestsUnder(
  request: FastifyRequest,
  cache: Cache,
  digests: readonly Digest[],
): Promise<ReadonlySet<Digest> | undefined> {
  const found = new Set(digests)
  const yielder = new Yielder()
  let read = 0
  // What is added meanwhile comes up later in the same loop.
  for (const digest of found) {
    if (found.size > MAX_DIGESTS) return undefined
    const known = cache.manifest(request, digest)
    if (!known) continue
    read += known.size
    if (read > MAX_BYTES) return undefined
    const bytes = await cache.manifests.read(digest)
    const named = bytes ? digestsNamed(await cache.readings.read(digest, bytes)) : []
    if (!named) return undefined
    for (const each of named) found.add(each)
    await yielder.step()
  }
  return found
}
