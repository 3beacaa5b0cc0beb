import type { FastifyRequest } from 'fastify'
import { saysNo } from '../upstream/verdict.js'
import { noteRefusal, tagName } from './forget-manifest.js'
import { learn, recordShown, stored, type ManifestSources } from './manifest-access.js'
import type { Manifest, ManifestTarget } from './manifest-source.js'

/**
 * What the upstream says now to a HEAD of a manifest, for nobody but this client: an answer that somebody else waited
 * for may be older than this question. It is noted for those who read. Throws the upstream's refusal.
 */
export async function askByHead(
  request: FastifyRequest,
  target: ManifestTarget,
  { cache, source }: Omit<ManifestSources, 'flights'>,
  signal: AbortSignal,
): Promise<Manifest> {
  const { reference } = target.endpoint
  const mark = 'tag' in reference ? cache.tags.mark(tagName(request, cache, reference.tag)) : undefined
  let manifest: Manifest | undefined
  try {
    manifest = await source.stat(request, target, signal)
  } catch (error) {
    if (saysNo(error)) await noteRefusal(request, { target, cache, source }, signal)
    throw error
  }
  if (!manifest) return learn(request, target, { cache, source }, signal)
  if (mark) cache.tags.record(mark, request.headers.accept, manifest)
  const whole = await stored(cache, manifest)
  if (whole) await recordShown(request, cache, whole, signal)
  else cache.recordManifest(request, manifest)
  return manifest
}
