import { verdictOf } from '../upstream/verdict.js'
import type { Reachability } from '../upstream/reachability.js'
import { withinTime } from './deadline.js'
import { upstreamTooSlow } from './in-time.js'

/** What goes with an answer that the upstream could not be asked about (RFC 7234, section 5.5; distribution-spec, "Warnings"). */
export const STALE_WARNING = {
  warning: '299 - "ecr-mirror: the upstream cannot be asked; from the cache"',
} as const

/** How long somebody waits who has something to fall back on, in milliseconds. */
const PATIENCE_WITH_FALLBACK = 5_000

/**
 * What the upstream says, or, when it cannot be asked, what is known from before. What `fallBack` gives up (undefined)
 * is not there to fall back on. Only an upstream that is away is stood in for: a no is thrown on.
 */
export async function askOrFallBack<T>(
  { reachability }: { readonly reachability: Reachability },
  signal: AbortSignal,
  ask: (signal: AbortSignal) => Promise<T>,
  fallBack: (() => Promise<T | undefined>) | undefined,
): Promise<T> {
  if (!fallBack) return ask(signal)
  if (!reachability.worthAsking()) {
    const known = await fallBack()
    if (known !== undefined) return known
  }
  const late = (): Error => {
    reachability.gaveUp()
    return upstreamTooSlow()
  }
  try {
    return await withinTime(PATIENCE_WITH_FALLBACK, signal, late, ask)
  } catch (error) {
    signal.throwIfAborted()
    if (verdictOf(error) !== 'away') throw error
    const known = await fallBack()
    if (known === undefined) throw error
    return known
  }
}
