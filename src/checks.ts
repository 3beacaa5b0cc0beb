import type { OpenCache } from './open-cache.js'
import type { AuditLog } from './operations/audit-log.js'
import type { Check } from './operations/health.js'
import type { ScrubState } from './store/scrub.js'
import type { Upstream } from './upstream/upstream.js'

/** What `/readyz` tells: each upstream's token, and the cache, which serves what it has without one. */
export async function checksOf(
  upstreams: readonly Upstream[],
  opened: OpenCache | undefined,
  audit: AuditLog['state'],
): Promise<Check[]> {
  const stats = await opened?.store.stats()
  const hasCached = (stats?.entries ?? 0) > 0
  const tokens = upstreams.map(({ name, tokens }) => {
    const { usable, expiresIn, problem } = tokens.state()
    const lacking = `no token: ${problem ?? 'not asked for yet'}${hasCached ? '; what is cached is served' : ''}`
    const detail = usable ? `valid for ${Math.round((expiresIn ?? 0) / 60_000)} min` : lacking
    return { name: `token of ${name}`, ok: usable || hasCached, detail }
  })
  const kept = auditCheck(audit)
  if (!opened || !stats) return [...tokens, ...kept]

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
  const scrub = opened.scrub?.state()
  const detail = [
    `${entries} blobs, ${inGiB(bytes)} of ${inGiB(maxBytes)} GiB${indexed ? '' : ' so far'}`,
    ...(freeBytes === undefined ? [] : [`${inGiB(freeBytes)} GiB free`]),
    `${integrityFailures} found bad, ${readErrors} read errors, ${writeErrors} write errors`,
    ...(scrub ? [scrubbed(scrub)] : []),
    ...(writePaused === undefined ? [] : [`not written for now: ${writePaused}`]),
  ].join('; ')
  // Trouble with the cache fails no pull, so it is no reason to send clients elsewhere.
  const autonomies = upstreams.map(upstream => autonomyOf(upstream, opened))
  return [...tokens, ...autonomies, { name: 'cache', ok: true, detail }, ...kept]
}

/** Trouble with the audit log stops nothing either, but somebody has to look. */
function auditCheck({ file, trouble, lost }: AuditLog['state']): Check[] {
  if (file === undefined) return []
  const now = trouble === undefined ? 'written' : `cannot be written for now: ${trouble}`
  return [{ name: 'audit', ok: true, detail: `${now}; ${lost} lines lost` }]
}

function scrubbed({ blobs, bytes, bad, running, ended }: ScrubState): string {
  const last = ended === undefined ? 'no pass ended yet' : `last pass ended ${new Date(ended).toISOString()}`
  return `scrubbed ${blobs} blobs, ${inGiB(bytes)} GiB, ${bad} bad, ${running ? 'a pass goes on' : last}`
}

/** How long images that are cached can be pulled if the registry stays away, or goes away now. */
function autonomyOf({ name, tokens, reachability }: Upstream, { validity }: OpenCache): Check {
  const { awayFor } = reachability
  const left = Math.min(validity.tags, validity.blobs) - (awayFor ?? 0)
  const hours = left > LONGEST_TOLD ? undefined : Math.max(0, left / HOUR)
  const howLong = hours === undefined ? 'without a limit' : `for ${hours.toFixed(1)} h more`
  const { expiresIn } = tokens.state()
  const detail =
    awayFor === undefined
      ? `the token is good for ${((expiresIn ?? 0) / HOUR).toFixed(1)} h; without the registry, what is cached is served ${howLong}`
      : `the registry has not answered for ${(awayFor / HOUR).toFixed(1)} h; what is cached is served ${howLong}`
  return { name: `autonomy of ${name}`, ok: true, detail, ...(hours !== undefined && { hours }) }
}

const HOUR = 3_600_000
/** More than this is no limit to speak of: `forever`. */
const LONGEST_TOLD = 100 * 365 * 24 * HOUR

function inGiB(bytes: number): string {
  return (bytes / 1024 ** 3).toFixed(1)
}
