import { parse } from '@lukeed/ms'

const DURATION = /^\d{1,12}(?:\.\d{1,3})?(?:ms|s|m|h|d)$/

/** The milliseconds that a duration such as `250ms`, `25s` or `1.5h` means, or undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined
  // The library gives undefined for zero.
  return Math.round(parse(text) ?? 0)
}
