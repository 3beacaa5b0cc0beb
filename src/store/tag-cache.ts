import { LRUCache } from 'lru-cache'
import { accepts, normalAccept } from '../oci/accept.js'
import { digestOf, parseDigest } from '../oci/digest.js'
import { Drops } from './drops.js'
import type { Entry, Journal } from './journal.js'
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
  /** The same, where anything is known of it: the upstream says that there is no such tag. */
  forget(name: TagName): Promise<void>
  /** The same for all tags of a repository. */
  dropAll(scope: Scope): Promise<void>
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
  /** By what was asked, the newest last. */
  readonly answers: Map<string, Answer>
}

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
  const writeAfter = (validity.ttl + Math.min(validity.staleFor, 365 * 86_400_000)) * WRITE_SHARE

  const isOf = (moment: number, { scope }: TagName): boolean => repositoryDrops.holds(moment, scopeKey(scope))
  const holds = (mark: TagMark): boolean =>
    isOf(mark.moment, mark) && tagDrops.holds(mark.tagMoment, tagKey(mark))

  function answersOf(name: TagName): [question: string, answer: Answer][] {
    const held = known.get(tagKey(name))
    return [...(held?.answers ?? [])].filter(([, answer]) => isOf(answer.moment, name))
  }

  function keep({ scope, tag }: TagName, question: string, answer: Answer): void {
    const key = tagKey({ scope, tag })
    const answers = new Map(known.get(key)?.answers)
    answers.delete(question)
    answers.set(question, answer)
    const [oldest] = answers.keys()
    if (answers.size > MAX_VARIANTS && oldest !== undefined) answers.delete(oldest)
    known.set(key, { scope, tag, answers })
  }

  function learn(mark: TagMark, question: string, { digest, mediaType, size }: ManifestFacts): void {
    if (!holds(mark)) return
    const at = now()
    const before = known.peek(tagKey(mark))?.answers.get(question)
    const renewal =
      before !== undefined &&
      isOf(before.moment, mark) &&
      before.digest === digest &&
      before.mediaType === mediaType &&
      at - before.writtenAt <= writeAfter
    const answer = { digest, mediaType, size, at, moment: mark.moment }
    keep(mark, question, { ...answer, writtenAt: renewal ? before.writtenAt : at })
    if (!renewal) journal.append(entryOf(mark, question, answer))
  }

  function worth({ tag }: TagName, { digest, mediaType, size, at }: Answer): KnownTag {
    const proof = isImmutable(tag) ? 'fresh' : proofOf(at, now(), validity)
    return { digest, mediaType, size, proof }
  }

  await journal.replay(entry => {
    const [kind, registry, repository, tag, question, digestText, mediaType, size, at] = entry
    if (typeof registry !== 'string' || typeof repository !== 'string') return
    const scope = { registry, repository }
    if (kind === 'drop') {
      if (typeof tag === 'string') known.delete(tagKey({ scope, tag }))
      else repositoryDrops.drop(scopeKey(scope))
    }
    const digest = typeof digestText === 'string' ? parseDigest(digestText) : undefined
    if (kind !== 'tag' || !digest || typeof tag !== 'string' || typeof question !== 'string') return
    if (!isMediaType(mediaType) || !isSize(size) || !isMoment(at)) return
    keep({ scope, tag }, question, {
      digest,
      mediaType,
      size,
      at,
      moment: repositoryDrops.now,
      writtenAt: at,
    })
  })

  function* inUse(): Generator<{ name: TagName; question: string; answer: Answer }> {
    // A copy, since what is used meanwhile moves to the end.
    for (const key of [...known.rkeys()]) {
      const held = known.peek(key)
      if (!held) continue
      for (const [question, answer] of held.answers) {
        if (isOf(answer.moment, held) && worth(held, answer).proof !== 'none')
          yield { name: { scope: held.scope, tag: held.tag }, question, answer }
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
      const newest = answers.findLast(
        ([question, { mediaType }]) =>
          question === asked || (question === PUSHED && names(accept, mediaType)),
      )?.[1]
      return newest && worth(name, newest)
    },
    lastKnown(name, accept) {
      const newest = answersOf(name).findLast(([, { mediaType }]) => accepts(accept, mediaType))?.[1]
      return newest && worth(name, newest)
    },
    mark: ({ scope, tag }) => ({ scope, tag, moment: repositoryDrops.now, tagMoment: tagDrops.now }),
    holds,
    lastDrop: name => `${repositoryDrops.last(scopeKey(name.scope))} ${tagDrops.last(tagKey(name))}`,
    record: (mark, accept, manifest) => learn(mark, questionOf(accept), manifest),
    recordPush: (mark, manifest) => learn(mark, PUSHED, manifest),
    drop,
    async forget(name) {
      if (known.has(tagKey(name))) await drop(name)
    },
    async dropAll(scope) {
      repositoryDrops.drop(scopeKey(scope))
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
      for (const { name, question, answer } of inUse()) yield entryOf(name, question, answer)
    },
  }
}

/** Under this goes what was pushed; no Accept header has such a form. */
const PUSHED = '='

/** Longer ones are kept as a digest of theirs, in characters. */
const LONGEST_QUESTION = 400

function questionOf(accept: string | undefined): string {
  const normal = normalAccept(accept)
  return normal.length <= LONGEST_QUESTION ? normal : digestOf(Buffer.from(normal))
}

/** Whether a media type is among what is asked for by name: then a registry gives what it has as it is. */
function names(accept: string | undefined, mediaType: string): boolean {
  return normalAccept(accept)
    .split(',')
    .some(item => item.split(';')[0] === mediaType.toLowerCase())
}

function tagKey({ scope: { registry, repository }, tag }: TagName): string {
  return JSON.stringify([registry, repository, tag])
}

function entryOf(
  { scope: { registry, repository }, tag }: TagName,
  question: string,
  { digest, mediaType, size, at }: Pick<Answer, 'digest' | 'mediaType' | 'size' | 'at'>,
): Entry {
  return ['tag', registry, repository, tag, question, digest, mediaType, size, at]
}

function dropping({ registry, repository }: Scope, tag?: string): Entry {
  return ['drop', registry, repository, ...(tag === undefined ? [] : [tag])]
}
