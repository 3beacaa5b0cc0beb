import { LRUCache } from 'lru-cache'
import { parseDigest, type Digest } from '../oci/digest.js'
import { Drops } from './drops.js'
import type { Entry, Journal } from './journal.js'
import { KnownRepositories } from './known-repositories.js'
import { proofOf, type Proof, type Validity } from './proof.js'
import { scopeKey, type Scope } from './scope.js'
import { isMediaType, isMoment, isSize } from './written-facts.js'

/** A moment in a repository's history; what was learnt since it is void if something was revoked meanwhile. */
export interface Mark {
  readonly scope: Scope
  readonly moment: number
}

/** A manifest, as the upstream described it; its bytes are elsewhere. */
export interface ManifestFacts {
  readonly digest: Digest
  /** What the upstream called it: the same bytes can mean two things under two types (CVE-2021-41190). */
  readonly mediaType: string
  /** In bytes. */
  readonly size: number
}

export interface KnownManifest extends ManifestFacts {
  readonly proof: Proof
}

export interface MembershipOptions extends Validity {
  readonly journal: Journal
  /** Milliseconds since the epoch; proofs outlive the process. */
  readonly now?: () => number
}

/**
 * Proof that a repository contains a digest, as a blob or as a manifest. Bytes are stored once for all; whom they are
 * served to goes by this, since to know a digest is not to have a right to it.
 */
export interface Membership {
  /** Of a blob. */
  proof(scope: Scope, digest: Digest): Proof
  manifest(scope: Scope, digest: Digest): KnownManifest | undefined
  /** To be taken before the upstream is asked, so that what it said before a deletion does not outlive it. */
  mark(scope: Scope): Mark
  /** The blobs that the upstream said, after `mark`, that the repository contains. */
  record(mark: Mark, digests: Iterable<Digest>): void
  recordManifest(mark: Mark, manifest: ManifestFacts): void
  /** The upstream says that it does not, or no longer. Resolves when a restart would not undo that. */
  forget(scope: Scope, digests: Iterable<Digest>): Promise<void>
  /** Whether anything was learnt of the repository since it was last revoked. */
  knows(scope: Scope): boolean
  /** Differs once something was revoked. */
  lastRevocation(scope: Scope): number
  /** Nothing that was known of this repository counts any more. Resolves when a restart would not undo that. */
  revoke(scope: Scope): Promise<void>
  /**
   * Every manifest that is known and of use, those known longest first. Whoever goes through them may let others come and
   * go meanwhile.
   */
  manifests(): Iterable<KnownManifest & { readonly scope: Scope }>
  /** Resolves when another process can read all that is known. */
  settled(): Promise<void>
  close(): Promise<void>
}

/** Proofs held at most; the least used are forgotten first, which costs a question to the upstream. */
const MAX_PROOFS = 1_000_000

/** Repositories of which a deletion is remembered by itself. */
const MAX_REPOSITORIES = 100_000

interface Held {
  /** When it was proven, and that moment in the order of drops. */
  readonly at: number
  readonly moment: number
  /** When that was written down. */
  readonly writtenAt: number
  readonly manifest: Omit<ManifestFacts, 'digest'> | undefined
}

/** Opens what was known before, as far as it is still of use, and keeps its journal short. */
export async function openMembership(options: MembershipOptions): Promise<Membership> {
  const { membership, survivors } = await replayed(options)
  await options.journal.keepShort(survivors)
  return membership
}

/** What another process knows, to look at. Nothing is written. */
export async function readMembership(options: MembershipOptions): Promise<Membership> {
  return (await replayed(options)).membership
}

async function replayed({
  journal,
  now = Date.now,
  ...validity
}: MembershipOptions): Promise<{ membership: Membership; survivors: () => Iterable<Entry> }> {
  /** Keys are structured, so that no two can spell the same. */
  // By size, since a cache by `max` takes the memory for all of them at once.
  const proofs = new LRUCache<string, Held>({
    maxSize: MAX_PROOFS,
    sizeCalculation: () => 1,
    dispose: (_held, key, reason) => {
      if (reason !== 'set') manifestKeys.delete(key)
    },
  })
  /** Of those that are of manifests, so that these can be gone through bit by bit while others come and go. */
  const manifestKeys = new Set<string>()
  const drops = new Drops(MAX_REPOSITORIES)
  const repositories = new KnownRepositories()
  const keyOf = (kind: 'blob' | 'manifest', { registry, repository }: Scope, digest: string): string =>
    JSON.stringify([kind, registry, repository, digest])

  const isOf = ({ moment }: { readonly moment: number }, scope: Scope): boolean =>
    drops.holds(moment, scopeKey(scope))

  function hold(key: string, held: Held): void {
    proofs.set(key, held)
    if (held.manifest) manifestKeys.add(key)
  }

  function learn({ scope, moment }: Mark, digest: Digest, manifest: Held['manifest']): void {
    const key = keyOf(manifest ? 'manifest' : 'blob', scope, digest)
    const before = proofs.peek(key)
    const at = now()
    // A proof that is renewed all the time need not be written down all the time.
    const renewal =
      before !== undefined &&
      isOf(before, scope) &&
      before.manifest?.mediaType === manifest?.mediaType &&
      at - before.writtenAt <= validity.ttl / 4
    hold(key, { at, moment, manifest, writtenAt: renewal ? before.writtenAt : at })
    if (!renewal) journal.append(entryOf(scope, digest, { at, manifest }))
  }

  function dropOne(scope: Scope, digest: string): boolean {
    const kinds = ['blob', 'manifest'] as const
    return kinds.map(kind => proofs.delete(keyOf(kind, scope, digest))).includes(true)
  }

  function dropAll(scope: Scope): void {
    repositories.delete(scope)
    drops.drop(scopeKey(scope))
  }

  await journal.replay(entry => {
    const [kind, registry, repository, digestText, at, mediaType, size] = entry
    if (typeof registry !== 'string' || typeof repository !== 'string') return
    const scope = { registry, repository }
    if (kind === 'forget') {
      if (typeof digestText === 'string') dropOne(scope, digestText)
      else dropAll(scope)
    }
    const digest = typeof digestText === 'string' ? parseDigest(digestText) : undefined
    if (!digest || !isMoment(at)) return
    repositories.add(scope)
    const held = { at, moment: drops.now, writtenAt: at }
    if (kind === 'record') hold(keyOf('blob', scope, digest), { ...held, manifest: undefined })
    if (kind === 'manifest' && isMediaType(mediaType) && isSize(size))
      hold(keyOf('manifest', scope, digest), { ...held, manifest: { mediaType, size } })
  })

  function* inUse(keys: Iterable<string>): Generator<{ scope: Scope; digest: Digest; held: Held }> {
    for (const key of keys) {
      const held = proofs.peek(key)
      const [, registry, repository, digest] = JSON.parse(key) as [string, string, string, Digest]
      const scope = { registry, repository }
      if (held && isOf(held, scope) && proofOf(held.at, now(), validity) !== 'none')
        yield { scope, digest, held }
    }
  }

  const membership: Membership = {
    proof(scope, digest) {
      const held = proofs.get(keyOf('blob', scope, digest))
      return held && isOf(held, scope) ? proofOf(held.at, now(), validity) : 'none'
    },
    manifest(scope, digest) {
      const held = proofs.get(keyOf('manifest', scope, digest))
      if (!held?.manifest || !isOf(held, scope)) return undefined
      return { ...held.manifest, digest, proof: proofOf(held.at, now(), validity) }
    },
    mark: scope => ({ scope, moment: drops.now }),
    record(mark, digests) {
      if (!isOf(mark, mark.scope)) return
      repositories.add(mark.scope)
      for (const digest of digests) learn(mark, digest, undefined)
    },
    recordManifest(mark, { digest, mediaType, size }) {
      if (!isOf(mark, mark.scope)) return
      repositories.add(mark.scope)
      learn(mark, digest, { mediaType, size })
    },
    async forget(scope, digests) {
      const dropped = [...digests].filter(digest => dropOne(scope, digest))
      const last = dropped.pop()
      for (const digest of dropped) journal.append(forgetting(scope, digest))
      // With it goes what was appended before.
      if (last) await journal.appendDurably(forgetting(scope, last))
    },
    knows: scope => repositories.has(scope),
    lastRevocation: scope => drops.last(scopeKey(scope)),
    async revoke(scope) {
      dropAll(scope)
      await journal.appendDurably(forgetting(scope))
    },
    *manifests() {
      for (const { scope, digest, held } of inUse(manifestKeys)) {
        if (held.manifest) yield { scope, digest, ...held.manifest, proof: proofOf(held.at, now(), validity) }
      }
    },
    settled: () => journal.settled(),
    close: () => journal.close(),
  }
  return {
    membership,
    *survivors() {
      // A copy, since what is used meanwhile moves to the end.
      for (const { scope, digest, held } of inUse([...proofs.rkeys()])) yield entryOf(scope, digest, held)
    },
  }
}

function entryOf(
  { registry, repository }: Scope,
  digest: Digest,
  { at, manifest }: Pick<Held, 'at' | 'manifest'>,
): Entry {
  if (!manifest) return ['record', registry, repository, digest, at]
  return ['manifest', registry, repository, digest, at, manifest.mediaType, manifest.size]
}

function forgetting({ registry, repository }: Scope, digest?: Digest): Entry {
  return ['forget', registry, repository, ...(digest === undefined ? [] : [digest])]
}
