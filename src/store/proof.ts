/** `fresh`: the upstream said so lately. `stale`: it said so once, good only while it cannot be asked. */
export type Proof = 'fresh' | 'stale' | 'none'

/** How long what an upstream said is good, in milliseconds. */
export interface Validity {
  readonly ttl: number
  /** How much longer it may be used while the upstream cannot be asked. */
  readonly staleFor: number
}

/** What something is worth that the upstream said at `at`; both times in milliseconds since 1970. */
export function proofOf(at: number, now: number, { ttl, staleFor }: Validity): Proof {
  const age = now - at
  // From the future: the clock was set back, and how old it is cannot be known.
  if (age < 0) return 'stale'
  if (age < ttl) return 'fresh'
  return age < ttl + staleFor ? 'stale' : 'none'
}
