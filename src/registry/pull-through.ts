import type { FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { Digest } from '../oci/digest.js'
import { OciError } from '../oci/error.js'
import type { Tag } from '../oci/reference.js'
import type { ManifestReadings } from '../store/manifest-readings.js'
import { fetchManifest, statManifest } from './manifest-source.js'
import type { Manifest, ManifestTarget, WholeManifest } from './manifest-source.js'

/** Reads manifests from the upstream, with a second way to those that it does not have by their digest yet. */
export interface PullThrough {
  readonly fetch: typeof fetchManifest
  readonly stat: typeof statManifest
}

/** Digests of which it is remembered by which tag they came. */
const MAX_DIGESTS = 100_000

/**
 * Behind a pull-through-cache rule ECR fetches an image when it is asked for by tag, and refuses one by a digest that it
 * has not fetched yet, or no longer has (aws/containers-roadmap 2837). So a digest that is refused is asked for by the
 * tag that it last came by; what comes is served only if it has that digest.
 */
export function createPullThrough(readings: ManifestReadings): PullThrough {
  const tags = new LRUCache<string, Tag>({ maxSize: MAX_DIGESTS, sizeCalculation: () => 1 })
  const keyOf = ({ place }: ManifestTarget, digest: Digest): string =>
    JSON.stringify([place.upstream.name, place.upstreamRepository, digest])

  async function childrenOf({ digest, bytes }: Pick<Manifest, 'digest' | 'bytes'>): Promise<Set<Digest>> {
    const reading = bytes && (await readings.read(digest, bytes))
    return new Set(reading?.content?.manifests.map(child => child.digest))
  }

  async function remember(
    target: ManifestTarget,
    manifest: Pick<Manifest, 'digest' | 'bytes'>,
  ): Promise<void> {
    const { reference } = target.endpoint
    if (!('tag' in reference)) return
    for (const each of [manifest.digest, ...(await childrenOf(manifest))])
      tags.set(keyOf(target, each), reference.tag)
  }

  /** By which tag a digest came that the upstream refuses now. */
  function tagOf(target: ManifestTarget, error: unknown): Tag | undefined {
    const { reference } = target.endpoint
    if (!('digest' in reference) || !(error instanceof OciError) || error.status !== 404) return undefined
    return tags.get(keyOf(target, reference.digest))
  }

  async function fetchAndRemember(
    request: FastifyRequest,
    target: ManifestTarget,
    signal: AbortSignal,
  ): Promise<WholeManifest> {
    const manifest = await fetchManifest(request, target, signal)
    await remember(target, manifest)
    return manifest
  }

  return {
    async fetch(request, target, signal) {
      const { reference } = target.endpoint
      if ('tag' in reference) return fetchAndRemember(request, target, signal)
      try {
        return await fetchManifest(request, target, signal)
      } catch (error) {
        const tag = tagOf(target, error)
        if (tag === undefined) throw error
        const current = await fetchAndRemember(request, byTag(target, tag), signal).catch(() => undefined)
        if (!current) throw error
        if (current.digest === reference.digest) return current
        // The rest of an index is there once the index is.
        if (!(await childrenOf(current)).has(reference.digest)) throw error
        return fetchManifest(request, target, signal)
      }
    },
    async stat(request, target, signal, accept) {
      try {
        const manifest = await statManifest(request, target, signal, accept)
        if (manifest) await remember(target, manifest)
        return manifest
      } catch (error) {
        const tag = tagOf(target, error)
        if (tag === undefined) throw error
        const current = await fetchAndRemember(request, byTag(target, tag), signal).catch(() => undefined)
        if (!current) throw error
        // Asked again, since what came by the tag may be a conversion, which the upstream does not have by its digest.
        return statManifest(request, target, signal, accept)
      }
    },
  }
}

function byTag(target: ManifestTarget, tag: Tag): ManifestTarget {
  return { ...target, endpoint: { ...target.endpoint, reference: { tag } } }
}
