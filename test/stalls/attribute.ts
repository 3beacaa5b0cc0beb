import type { Profiler } from 'node:inspector'
import type { Location, Locator, Owner } from './locate.js'
import type { Stall, WatchReport } from './report.js'

/** A stall, and what the thread did in it. Times are milliseconds. */
export interface ExplainedStall {
  readonly ms: number
  /** Of that, in which the thread was ready and another one had its CPU, which the machine is to blame for. */
  readonly waitedMs: number
  /** Whose work most of it was, garbage collection aside, unless it was nothing else. */
  readonly owner: Owner | 'garbage collection' | 'unknown'
  /** Such as `src/oci/ambiguity.ts:102 twofoldField 71 %, garbage collection 20 %`. */
  readonly cause: string
  readonly requests: readonly string[]
  /** When it began, in microseconds of CLOCK_MONOTONIC. */
  readonly from: number
}

const COLLECTOR = '(garbage collector)'

/** The stalls of a report, the longest first, each with the functions that its samples lie in. */
export function explain({ stalls, profile }: WatchReport, locator: Locator): ExplainedStall[] {
  const samples = profile && new Samples(profile, locator)
  return stalls
    .map(stall => explained(stall, samples?.between(stall.from, stall.to) ?? []))
    .sort((one, other) => other.ms - one.ms)
}

/** By how much a stall is the process's own, in milliseconds. */
export function ownMs({ ms, waitedMs }: Pick<ExplainedStall, 'ms' | 'waitedMs'>): number {
  return Math.max(0, ms - waitedMs)
}

interface Doing {
  readonly owner: ExplainedStall['owner']
  readonly text: string
}

function explained({ from, to, waited, requests }: Stall, doings: readonly Doing[]): ExplainedStall {
  const share = (count: number): number => Math.round((count / doings.length) * 100)
  const cause = counted(doings.map(({ text }) => text))
    .slice(0, 3)
    .filter(([, count], index) => index === 0 || share(count) >= 10)
    .map(([text, count]) => `${text} ${share(count)} %`)
    .join(', ')
  const owners = counted(doings.map(({ owner }) => owner)).map(([owner]) => owner)
  return {
    ms: (to - from) / 1000,
    waitedMs: waited / 1000,
    owner: owners.find(owner => owner !== 'garbage collection') ?? owners[0] ?? 'unknown',
    cause: cause || 'no sample was taken: it did not run',
    requests,
    from,
  }
}

/** Each value with how often it occurs, the most frequent first. */
function counted<Value>(values: readonly Value[]): [Value, number][] {
  const counts = new Map<Value, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts].sort(([, one], [, other]) => other - one)
}

/** The samples of a profile by time. */
class Samples {
  readonly #profile: Profiler.Profile
  readonly #locator: Locator
  readonly #nodes: ReadonlyMap<number, Profiler.ProfileNode>
  readonly #parents = new Map<number, number>()
  readonly #doings = new Map<number, Doing>()

  constructor(profile: Profiler.Profile, locator: Locator) {
    this.#profile = profile
    this.#locator = locator
    this.#nodes = new Map(profile.nodes.map(node => [node.id, node]))
    for (const { id, children = [] } of profile.nodes)
      for (const child of children) this.#parents.set(child, id)
  }

  /** What the thread was doing at each sample of that time. */
  between(from: number, to: number): Doing[] {
    const { samples = [], timeDeltas = [], startTime } = this.#profile
    const found: Doing[] = []
    let at = startTime
    for (const [index, id] of samples.entries()) {
      at += timeDeltas[index] ?? 0
      if (at >= from && at <= to) found.push(this.#doing(id))
    }
    return found
  }

  /** The innermost function of the mirror's or a test's; where there is none, that of a package or of Node. */
  #doing(id: number): Doing {
    const known = this.#doings.get(id)
    if (known) return known
    const doing = this.#look(id)
    this.#doings.set(id, doing)
    return doing
  }

  #look(id: number): Doing {
    const stack: Location[] = []
    for (let at: number | undefined = id; at !== undefined; at = this.#parents.get(at)) {
      const frame = this.#nodes.get(at)?.callFrame
      if (frame?.functionName === COLLECTOR)
        return { owner: 'garbage collection', text: 'garbage collection' }
      const location = frame && this.#locator.locate(frame)
      if (location) stack.push(location)
    }
    const own = stack.find(location => location.owner === 'mirror' || location.owner === 'test')
    const found = own ?? stack.find(location => location.owner === 'package') ?? stack[0]
    return found ?? { owner: 'unknown', text: this.#nodes.get(id)?.callFrame.functionName ?? '(unknown)' }
  }
}
