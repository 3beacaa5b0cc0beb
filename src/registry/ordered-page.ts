/** A page of a listing, as an upstream gave it. */
export interface ListedPage {
  readonly entries: readonly string[]
  /** The query of the next page, from its mark on; undefined on the last one. */
  readonly next: string | undefined
}

export interface OrderedPageOptions {
  /** The entry behind which to begin; undefined for the first. */
  readonly after: string | undefined
  /** How many entries there may be. */
  readonly limit: number
  /** How many pages of the upstream may be read for it. */
  readonly maxPages: number
}

/**
 * A page in the order of the alphabet, as the specification has it (distribution-spec, "Listing Tags"), of an upstream
 * that lists in another one and knows no `last` but its own tokens, as ECR does. So all of its pages are read, from
 * `first` on, and of their entries no more than fit on the page are held. Undefined when they do not end in time.
 */
export async function orderedPage(
  first: ListedPage,
  ask: (query: string) => Promise<ListedPage>,
  { after, limit, maxPages }: OrderedPageOptions,
): Promise<ListedPage | undefined> {
  let kept: string[] = []
  for (let page = first, pages = 1; ; pages++) {
    const further = page.entries.filter(entry => after === undefined || entry > after)
    kept = [...new Set([...kept, ...further])].sort().slice(0, limit + 1)
    if (page.next === undefined) break
    if (pages >= maxPages) return undefined
    page = await ask(page.next)
  }
  const entries = kept.slice(0, limit)
  const last = kept.length > limit ? entries.at(-1) : undefined
  const next =
    last === undefined ? undefined : `?${new URLSearchParams({ last, n: String(limit) }).toString()}`
  return { entries, next }
}
