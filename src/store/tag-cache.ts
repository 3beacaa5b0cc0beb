import { LRUCache } from 'lru-cache'
import { accepts, names, normalAccept } from '../oci/accept.js'
import { digestOf, parseDigest } from '../oci/digest.js'
import { Drops } from './drops.js'
import type { Entry, Journal } from './journal.js'
import { KnownRepositories } from './known-repositories.js'
import type { ManifestFacts } from './membership.js'
import { proofOf, type Proof, type Validity } from './proof.js'
import { scopeKey, type Scope } from './scope.js'
import { isMediaType, isMoment, isSize } from './written-facts.js'

/** A tag of a repository. */
export interface TagName {
  readonly scope: Scope
  readonly tag: string
}

/** A moment in a tag's history: what was asked before a push or a deletion says nothing about what is there now. */
export interface TagMark extends TagName {
  /** In the order of what happened to whole repositories, and to single tags. */
  readonly moment: number
  readonly tagMoment: number
}

/** What a tag stands for, and what that knowledge is worth. */
export interface KnownTag extends ManifestFacts {
  readonly proof: Proof
}

export interface TagCacheOptions extends Validity {
  readonly journal: Journal
  /** Whether what the upstream once said of a tag holds for ever. */
  readonly isImmutable?: (tag: string) => boolean
  /** Milliseconds since the epoch; what is known outlives the process. */
  readonly now?: () => number
}

/**
 * What tags stand for. ECR converts a manifest to what the client takes, so that a tag has an answer for each set of
 * accepted media types (Amazon ECR, "Container image manifest format support").
 */
export interface TagCache {
  /** What the upstream said to the same question, or what was pushed, if that is what the client takes. */
  lookup(name: TagName, accept: string | undefined): KnownTag | undefined
  /** For when the upstream cannot be asked: the newest that it said to whatever question, if the client takes it. */
  lastKnown(name: TagName, accept: string | undefined): KnownTag | undefined
  /** To be taken before the upstream is asked, or told. */
  mark(name: TagName): TagMark
  /** Whether nothing was dropped since. */
  holds(mark: TagMark): boolean
  /** Differs once the tag, or all of its repository, was dropped. */
  lastDrop(name: TagName): string
  /** What the upstream said, after `mark`. */
  record(mark: TagMark, accept: string | undefined, manifest: ManifestFacts): void
  /** What the upstream took in a push: nothing is converted for a client that takes this type. */
  recordPush(mark: TagMark, manifest: ManifestFacts): void
  /** Drops every answer about the tag, also those under way. Resolves when a restart would not undo that. */
  drop(name: TagName): Promise<void>
  /** The same for all tags of a repository. */
  dropAll(scope: Scope): Promise<void>
  /**
   * The upstream says, to this very question, that there is no such tag: its answer is dropped, and so are those under
   * way. Gives the media types of the answers to other questions, which are kept. Resolves when a restart would not
   * undo that.
   */
  forget(name: TagName, accept: string | undefined): Promise<string[]>
  /** Whether anything was learnt of the repository since all its tags were dropped. */
  knows(scope: Scope): boolean
  /** Every tag of which something is known and of use, the least used first, with its newest answer. */
  list(): Iterable<TagName & KnownTag>
  /** Resolves when another process can read all that is known. */
  settled(): Promise<void>
  close(): Promise<void>
}

/** Answers held at most in all, and to different questions about one tag; the least used are forgotten first. */
const MAX_ANSWERS = 100_000
const MAX_VARIANTS = 16

/** Repositories of which a deletion is remembered by itself. */
const MAX_REPOSITORIES = 100_000

/** Of `ttl` and `staleFor` together: how far behind what is written down may be. */
const WRITE_SHARE = 1 / 100

interface Answer extends ManifestFacts {
  readonly at: number
  readonly moment: number
  readonly writtenAt: number
}

interface Held extends TagName {
  /** By what was asked, in the form of `keyOf`, the newest last. */
  readonly answers: Map<string, HeldAnswer>
}

/**
 * What an answer is the answer to: `pushed` for what the upstream took, else what was asked, as its normal Accept
 * header spells it, or as a digest of that where it is long. The kind stands by itself, since a client can spell
 * anything in its header.
 */
type Question =
  { readonly kind: 'pushed' } | { readonly kind: 'accept' | 'digest of accept'; readonly text: string }

type HeldAnswer = Answer & { readonly question: Question }

/** Opens what was known before, as far as it is still of use, and keeps its journal short. */
export async function openTagCache(options: TagCacheOptions): Promise<TagCache> {
  const { tags, survivors } = await replayed(options)
  await options.journal.keepShort(survivors)
  return tags
}

/** What another process knows, to look at. Nothing is written. */
export async function readTagCache(options: TagCacheOptions): Promise<TagCache> {
  return (await replayed(options)).tags
}

async function replayed({
  journal,
  isImmutable = () => false,
  now = Date.now,
  ...validity
}: TagCacheOptions): Promise<{ tags: TagCache; survivors: () => Iterable<Entry> }> {
  const known = new LRUCache<string, Held>({
    maxSize: MAX_ANSWERS,
    sizeCalculation: ({ answers }) => answers.size,
  })
  /** Answers that are held stand by the first; the second is for those under way, since a drop takes the held ones. */
  const repositoryDrops = new Drops(MAX_REPOSITORIES)
  const tagDrops = new Drops()
  const repositories = new KnownRepositories()
  const writeAfter = (validity.ttl + Math.min(validity.staleFor, 365 * 86_400_000)) * WRITE_SHARE

  const isOf = (moment: number, { scope }: TagName): boolean => repositoryDrops.holds(moment, scopeKey(scope))
  const holds = (mark: TagMark): boolean =>
    isOf(mark.moment, mark) && tagDrops.holds(mark.tagMoment, tagKey(mark))

  function answersOf(name: TagName): HeldAnswer[] {
    const held = known.get(tagKey(name))
    return [...(held?.answers.values() ?? [])].filter(({ moment }) => isOf(moment, name))
  }

  function keep({ scope, tag }: TagName, answer: HeldAnswer): void {
    const key = tagKey({ scope, tag })
    const answers = new Map(known.get(key)?.answers)
    const asked = keyOf(answer.question)
    answers.delete(asked)
    answers.set(asked, answer)
    const [oldest] = answers.keys()
    if (answers.size > MAX_VARIANTS && oldest !== undefined) answers.delete(oldest)
    known.set(key, { scope, tag, answers })
    repositories.add(scope)
  }

  /** Takes one answer away. Says whether it was there. */
  function removeAnswer({ scope, tag }: TagName, question: Question): boolean {
    const key = tagKey({ scope, tag })
    const answers = new Map(known.peek(key)?.answers)
    if (!answers.delete(keyOf(question))) return false
    if (answers.size > 0) known.set(key, { scope, tag, answers })
    else known.delete(key)
    return true
  }

  function learn(mark: TagMark, question: Question, { digest, mediaType, size }: ManifestFacts): void {
    if (!holds(mark)) return
    const at = now()
    const before = known.peek(tagKey(mark))?.answers.get(keyOf(question))
    const renewal =
      before !== undefined &&
      isOf(before.moment, mark) &&
      before.digest === digest &&
      before.mediaType === mediaType &&
      at - before.writtenAt <= writeAfter
    const answer = { question, digest, mediaType, size, at, moment: mark.moment }
    keep(mark, { ...answer, writtenAt: renewal ? before.writtenAt : at })
    if (!renewal) journal.append(entryOf(mark, answer))
  }

  function worth({ tag }: TagName, { digest, mediaType, size, at }: Answer): KnownTag {
    const proof = isImmutable(tag) ? 'fresh' : proofOf(at, now(), validity)
    return { digest, mediaType, size, proof }
  }

  function dropRepository(scope: Scope): void {
    repositories.delete(scope)
    repositoryDrops.drop(scopeKey(scope))
  }

  await journal.replay(entry => {
    const [kind, registry, repository, tag, questionKind, text, digestText, mediaType, size, at] = entry
    if (typeof registry !== 'string' || typeof repository !== 'string') return
    const scope = { registry, repository }
    if (kind === 'drop') {
      if (typeof tag === 'string') known.delete(tagKey({ scope, tag }))
      else dropRepository(scope)
    }
    const question = questionIn(questionKind, text)
    if (typeof tag !== 'string' || !question) return
    if (kind === 'forget') removeAnswer({ scope, tag }, question)
    const digest = typeof digestText === 'string' ? parseDigest(digestText) : undefined
    if (kind !== ENTRY || !digest || !isMediaType(mediaType) || !isSize(size) || !isMoment(at)) return
    keep(
      { scope, tag },
      {
        question,
        digest,
        mediaType,
        size,
        at,
        moment: repositoryDrops.now,
        writtenAt: at,
      },
    )
  })

  function* inUse(): Generator<{ name: TagName; answer: HeldAnswer }> {
    // A copy, since what is used meanwhile moves to the end.
    for (const key of [...known.rkeys()]) {
      const held = known.peek(key)
      if (!held) continue
      for (const answer of held.answers.values()) {
        if (isOf(answer.moment, held) && worth(held, answer).proof !== 'none')
          yield { name: { scope: held.scope, tag: held.tag }, answer }
      }
    }
  }

  async function drop(name: TagName): Promise<void> {
    tagDrops.drop(tagKey(name))
    const dropped = dropping(name.scope, name.tag)
    if (known.delete(tagKey(name))) await journal.appendDurably(dropped)
    // It may have been written down, and forgotten here for want of room.
    else journal.append(dropped)
  }

  const tags: TagCache = {
    lookup(name, accept) {
      const answers = answersOf(name)
      const asked = questionOf(accept)
      // The newest is the last, whatever the clock said.
      const newest = answers.findLast(({ question, mediaType }) =>
        question.kind === 'pushed' ? names(accept, mediaType) : isSame(question, asked),
      )
      return newest && worth(name, newest)
    },
    lastKnown(name, accept) {
      const newest = answersOf(name).findLast(({ mediaType }) => accepts(accept, mediaType))
      return newest && worth(name, newest)
    },
    mark: ({ scope, tag }) => ({ scope, tag, moment: repositoryDrops.now, tagMoment: tagDrops.now }),
    holds,
    lastDrop: name => `${repositoryDrops.last(scopeKey(name.scope))} ${tagDrops.last(tagKey(name))}`,
    record: (mark, accept, manifest) => learn(mark, questionOf(accept), manifest),
    recordPush: (mark, manifest) => learn(mark, PUSHED, manifest),
    drop,
    async forget(name, accept) {
      // Tags that never were shall not fill the memory of those that were dropped.
      if (!known.has(tagKey(name))) return []
      const question = questionOf(accept)
      tagDrops.drop(tagKey(name))
      if (removeAnswer(name, question)) await journal.appendDurably(forgetting(name, question))
      return [...new Set(answersOf(name).map(({ mediaType }) => mediaType))]
    },
    knows: scope => repositories.has(scope),
    async dropAll(scope) {
      dropRepository(scope)
      await journal.appendDurably(dropping(scope))
    },
    *list() {
      let last: (TagName & KnownTag) | undefined
      for (const { name, answer } of [...inUse()]) {
        // The answers about one tag come one after another, the newest last.
        if (last && tagKey(last) !== tagKey(name)) yield last
        last = { ...name, ...worth(name, answer) }
      }
      if (last) yield last
    },
    settled: () => journal.settled(),
    close: () => journal.close(),
  }
  return {
    tags,
    *survivors() {
      for (const { name, answer } of inUse()) yield entryOf(name, answer)
    },
  }
}

/** Entries called `tag` are of versions in which a client could spell another question's key, and not believed. */
const ENTRY = 'answer'

const PUSHED: Question = { kind: 'pushed' }

/** Longer ones are kept as a digest of theirs, in characters. */
const LONGEST_QUESTION = 400

function questionOf(accept: string | undefined): Question {
  const text = normalAccept(accept)
  if (text.length <= LONGEST_QUESTION) return { kind: 'accept', text }
  return { kind: 'digest of accept', text: digestOf(Buffer.from(text)) }
}

/** A question as an entry of the journal has it. */
function questionIn(kind: unknown, text: unknown): Question | undefined {
  if (kind === 'pushed') return PUSHED
  if ((kind !== 'accept' && kind !== 'digest of accept') || typeof text !== 'string') return undefined
  return { kind, text }
}

/** Structured, so that no two questions can spell the same. */
function keyOf(question: Question): string {
  return JSON.stringify(fieldsOf(question))
}

function isSame(one: Question, other: Question): boolean {
  if (one.kind === 'pushed' || other.kind === 'pushed') return one.kind === other.kind
  return one.kind === other.kind && one.text === other.text
}

function fieldsOf(question: Question): readonly [kind: Question['kind'], text: string] {
  return [question.kind, question.kind === 'pushed' ? '' : question.text]
}

function tagKey({ scope: { registry, repository }, tag }: TagName): string {
  return JSON.stringify([registry, repository, tag])
}

function entryOf(
  { scope: { registry, repository }, tag }: TagName,
  { question, digest, mediaType, size, at }: Omit<HeldAnswer, 'moment' | 'writtenAt'>,
): Entry {
  return [ENTRY, registry, repository, tag, ...fieldsOf(question), digest, mediaType, size, at]
}

function forgetting({ scope: { registry, repository }, tag }: TagName, question: Question): Entry {
  return ['forget', registry, repository, tag, ...fieldsOf(question)]
}

function dropping({ registry, repository }: Scope, tag?: string): Entry {
  return ['drop', registry, repository, ...(tag === undefined ? [] : [tag])]
}
