import type { OpenCache } from './open-cache.js'
import type { Check } from './operations/health.js'
import type { ScrubState } from './store/scrub.js'
import type { Upstream } from './upstream/upstream.js'

/** What `/readyz` tells: each upstream's token, and the cache, which serves what it has without one. */
export async function checksOf(
  upstreams: readonly Upstream[],
  opened: OpenCache | undefined,
): Promise<Check[]> {
  const stats = await opened?.store.stats()
  const hasCached = (stats?.entries ?? 0) > 0
  const tokens = upstreams.map(({ name, tokens }) => {
    const { usable, expiresIn, problem } = tokens.state()
    const lacking = `no token: ${problem ?? 'not asked for yet'}${hasCached ? '; what is cached is served' : ''}`
    const detail = usable ? `valid for ${Math.round((expiresIn ?? 0) / 60_000)} min` : lacking
    return { name: `token of ${name}`, ok: usable || hasCached, detail }
  })
  if (!stats) return tokens

  const {
    entries,
    bytes,
    maxBytes,
    freeBytes,
    integrityFailures,
    readErrors,
    writeErrors,
    writePaused,
    indexed,
  } = stats
  const scrub = opened?.scrub?.state()
  const detail = [
    `${entries} blobs, ${inGiB(bytes)} of ${inGiB(maxBytes)} GiB${indexed ? '' : ' so far'}`,
    ...(freeBytes === undefined ? [] : [`${inGiB(freeBytes)} GiB free`]),
    `${integrityFailures} found bad, ${readErrors} read errors, ${writeErrors} write errors`,
    ...(scrub ? [scrubbed(scrub)] : []),
    ...(writePaused === undefined ? [] : [`not written for now: ${writePaused}`]),
  ].join('; ')
  // Trouble with the cache fails no pull, so it is no reason to send clients elsewhere.
  return [...tokens, { name: 'cache', ok: true, detail }]
}

function scrubbed({ blobs, bytes, bad, running, ended }: ScrubState): string {
  const last = ended === undefined ? 'no pass ended yet' : `last pass ended ${new Date(ended).toISOString()}`
  return `scrubbed ${blobs} blobs, ${inGiB(bytes)} GiB, ${bad} bad, ${running ? 'a pass goes on' : last}`
}

function inGiB(bytes: number): string {
  return (bytes / 1024 ** 3).toFixed(1)
}
