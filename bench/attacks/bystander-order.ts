/** What the bystander pulls again and again. */
export interface Pulled {
  readonly url: string
  readonly authorization: string
  readonly repository: string
  readonly tag: string
  /** Digest of a blob. */
  readonly blob: string
}

/** One pull that is timed by itself. */
export interface OnePull {
  readonly url: string
  readonly authorization: string
  readonly path: string
}

export type BystanderOrder =
  | { readonly do: 'begin'; readonly pulled: Pulled }
  | { readonly do: 'end' }
  | { readonly do: 'pull'; readonly number: number; readonly pull: OnePull }

/** What has become of the pulls since the beginning. */
export interface Seen {
  /** Of each request in milliseconds, from when it was due to when its answer had come whole, or to the end. */
  readonly times: readonly number[]
  /** Requests that were not answered 200 with the right bytes, by what came. */
  readonly failures: Readonly<Record<string, number>>
  /** Answers by their X-Cache. */
  readonly caches: Readonly<Record<string, number>>
}

export interface PullOutcome {
  /** Undefined when there was no answer. */
  readonly status: number | undefined
  readonly ms: number
  readonly cache: string | undefined
}

export type BystanderAnswer =
  | { readonly number: number; readonly outcome: PullOutcome }
  | { readonly number?: undefined; readonly seen: Seen }
