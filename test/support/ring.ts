/**
 * How much the tests do that could go on for hours: each change is tried within minutes on two cores, and
 * `npm run test:long` does all that the project claims.
 */
const RINGS = ['short', 'long'] as const

const ring = process.env['TEST_RING'] ?? 'short'
if (!RINGS.some(known => known === ring)) throw new Error(`TEST_RING is ${RINGS.join(' or ')}, not ${ring}`)

/** How many of something in the ring that runs. */
export function inRing({ short, long }: { readonly short: number; readonly long: number }): number {
  return ring === 'long' ? long : short
}
