import { LRUCache } from 'lru-cache'
import type { Digest } from '../oci/digest.js'
import { Drops } from './drops.js'
import { KnownRepositories } from './known-repositories.js'
import { proofOf, type Proof, type Validity } from './proof.js'
import { scopeKey, type Scope } from './scope.js'

/** Which list of referrers: of what, and which part of it (distribution-spec, "Listing Referrers"). */
export interface ReferrersQuestion {
  readonly scope: Scope
  readonly subject: Digest
  /** The query of the request, in the form in which it goes upstream. */
  readonly query: string
}

/** A list as it is answered. */
export interface ReferrersAnswer {
  readonly body: Buffer
  /** Of the upstream's reply headers, those that are passed on. */
  readonly headers: Readonly<Record<string, string>>
  /** The query of the next page, beginning with `?`. */
  readonly next: string | undefined
}

/** Lists of referrers, for as short a time as tags are believed; in memory only. */
export interface ReferrersCache {
  lookup(question: ReferrersQuestion): (ReferrersAnswer & { readonly proof: Proof }) | undefined
  /** To be taken before the upstream is asked. */
  mark(scope: Scope): number
  record(question: ReferrersQuestion, mark: number, answer: ReferrersAnswer): void
  forget(question: ReferrersQuestion): void
  /** Whether anything was recorded of the repository since it was last dropped. */
  knows(scope: Scope): boolean
  /** Something was pushed to the repository, or deleted from it. */
  drop(scope: Scope): void
}

const MAX_MEMORY = 16 * 1024 * 1024

export interface ReferrersCacheOptions extends Validity {
  /** Milliseconds since the epoch. */
  readonly now?: () => number
}

export function createReferrersCache({ now = Date.now, ...validity }: ReferrersCacheOptions): ReferrersCache {
  const answers = new LRUCache<string, ReferrersAnswer & { readonly at: number; readonly moment: number }>({
    maxSize: MAX_MEMORY,
    sizeCalculation: ({ body, headers, next = '' }, key) =>
      body.length + key.length + next.length + JSON.stringify(headers).length + 256,
  })
  const drops = new Drops()
  const repositories = new KnownRepositories()
  return {
    lookup(question) {
      const answer = answers.get(keyOf(question))
      if (!answer || !drops.holds(answer.moment, scopeKey(question.scope))) return undefined
      return { ...answer, proof: proofOf(answer.at, now(), validity) }
    },
    mark: () => drops.now,
    record(question, moment, answer) {
      if (!drops.holds(moment, scopeKey(question.scope))) return
      repositories.add(question.scope)
      answers.set(keyOf(question), { ...answer, at: now(), moment })
    },
    forget: question => void answers.delete(keyOf(question)),
    knows: scope => repositories.has(scope),
    drop(scope) {
      repositories.delete(scope)
      drops.drop(scopeKey(scope))
    },
  }
}

function keyOf({ scope: { registry, repository }, subject, query }: ReferrersQuestion): string {
  return JSON.stringify([registry, repository, subject, query])
}
