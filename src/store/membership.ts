import { LRUCache } from 'lru-cache'
import { parseDigest, type Digest } from '../oci/digest.js'
import type { Journal } from './journal.js'

/** A repository of a registry, as the upstream knows both. */
export interface Scope {
  /** The registry's host. */
  readonly registry: string
  readonly repository: string
}

/** `fresh`: proven lately. `stale`: proven once, good only while the upstream cannot be asked. */
export type Proof = 'fresh' | 'stale' | 'none'

/** A moment in a repository's history; what was learnt since it is void if something was revoked meanwhile. */
export interface Mark {
  readonly scope: Scope
  readonly generation: number
}

export interface MembershipOptions {
  /** Milliseconds that a proof is fresh, and that it may be used afterwards while the upstream is away. */
  readonly ttl: number
  readonly staleFor: number
  readonly journal: Journal
  /** Milliseconds since the epoch; proofs outlive the process. */
  readonly now?: () => number
}

/**
 * Proof that a repository contains a digest. Bytes are stored once for all; whom they are served to goes by this,
 * since to know a digest is not to have a right to it.
 */
export interface Membership {
  proof(scope: Scope, digest: Digest): Proof
  /** To be taken before the upstream is asked, so that what it said before a deletion does not outlive it. */
  mark(scope: Scope): Mark
  /** What the upstream said, after `mark`, that the repository contains. */
  record(mark: Mark, digests: Iterable<Digest>): void
  /** The upstream says that it does not, or no longer. */
  forget(scope: Scope, digest: Digest): Promise<void>
  /** Nothing that was known of this repository counts any more. Resolves when a restart would not undo that. */
  revoke(scope: Scope): Promise<void>
  close(): Promise<void>
}

/** Proofs held at most; the least used are forgotten first, which costs a question to the upstream. */
const MAX_PROOFS = 1_000_000

/** Opens what was known before, as far as it is still of use. */
export async function openMembership({
  ttl,
  staleFor,
  journal,
  now = Date.now,
}: MembershipOptions): Promise<Membership> {
  /** When each was proven. Keys are structured, so that no two can spell the same. */
  const proofs = new LRUCache<string, { readonly at: number; readonly generation: number }>({
    max: MAX_PROOFS,
  })
  const generations = new Map<string, number>()
  const keyOf = ({ registry, repository }: Scope, digest: string): string =>
    JSON.stringify([registry, repository, digest])
  const scopeKey = ({ registry, repository }: Scope): string => JSON.stringify([registry, repository])
  const generationOf = (scope: Scope): number => generations.get(scopeKey(scope)) ?? 0

  function learn(scope: Scope, digest: Digest, at: number): void {
    proofs.set(keyOf(scope, digest), { at, generation: generationOf(scope) })
  }
  function drop(scope: Scope, digest: string | undefined): void {
    if (digest === undefined) generations.set(scopeKey(scope), generationOf(scope) + 1)
    else proofs.delete(keyOf(scope, digest))
  }

  await journal.replay(entry => {
    const [kind, registry, repository, digestText, at] = entry
    if (typeof registry !== 'string' || typeof repository !== 'string') return
    const scope = { registry, repository }
    if (kind === 'forget') drop(scope, typeof digestText === 'string' ? digestText : undefined)
    const digest = typeof digestText === 'string' ? parseDigest(digestText) : undefined
    if (kind === 'record' && digest && typeof at === 'number') learn(scope, digest, at)
  })
  await journal.rewrite(survivors())

  function* survivors(): Generator<readonly unknown[]> {
    for (const key of proofs.rkeys()) {
      const proof = proofs.peek(key)
      const [registry, repository, digest] = JSON.parse(key) as [string, string, string]
      if (!proof || proof.generation !== generationOf({ registry, repository })) continue
      const age = now() - proof.at
      if (age >= 0 && age < ttl + staleFor) yield ['record', registry, repository, digest, proof.at]
    }
  }

  return {
    proof(scope, digest) {
      const proof = proofs.get(keyOf(scope, digest))
      if (!proof || proof.generation !== generationOf(scope)) return 'none'
      const age = now() - proof.at
      // From the future: the clock was set back, and how old the proof is cannot be known.
      if (age < 0) return 'stale'
      if (age < ttl) return 'fresh'
      return age < ttl + staleFor ? 'stale' : 'none'
    },
    mark: scope => ({ scope, generation: generationOf(scope) }),
    record({ scope, generation }, digests) {
      if (generation !== generationOf(scope)) return
      const at = now()
      for (const digest of digests) {
        const before = proofs.get(keyOf(scope, digest))
        learn(scope, digest, at)
        // A proof that is renewed all the time need not be written down all the time.
        if (!before || before.generation !== generation || at - before.at > ttl / 4) {
          journal.append(['record', scope.registry, scope.repository, digest, at])
        }
      }
    },
    async forget(scope, digest) {
      if (!proofs.has(keyOf(scope, digest))) return
      drop(scope, digest)
      await journal.appendDurably(['forget', scope.registry, scope.repository, digest])
    },
    async revoke(scope) {
      drop(scope, undefined)
      await journal.appendDurably(['forget', scope.registry, scope.repository])
    },
    close: () => journal.close(),
  }
}
