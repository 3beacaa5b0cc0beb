import { parse } from '@lukeed/ms'

const DURATION = /^\d{1,12}(?:\.\d{1,3})?(?:ms|s|m|h|d)$/

/** The milliseconds that a duration such as `250ms`, `25s` or `1.5h` means, or undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined
  // The library gives undefined for zero.
  return Math.round(parse(text) ?? 0)
}

const SIZE = /^(\d{1,12}(?:\.\d{1,3})?) ?(B|KiB|MiB|GiB|TiB)$/
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** The bytes that a size such as `20MiB` or `1.5TiB` means, or undefined when it is none (IEC 80000-13). */
export function parseSize(text: string): number | undefined {
  const [, number = '', unit = ''] = SIZE.exec(text) ?? []
  return number === '' ? undefined : Math.round(Number(number) * 1024 ** UNITS.indexOf(unit))
}

/** The bytes a second that a rate such as `20MiB/s` means, or undefined when it is none. */
export function parseRate(text: string): number | undefined {
  return text.endsWith('/s') ? parseSize(text.slice(0, -'/s'.length)) : undefined
}

/** Room to keep free on a disk: in bytes, or in percent of it. */
export type FreeSpace = { readonly bytes: number } | { readonly percent: number }

/** A size, or a percentage such as `5%`. */
export function parseFreeSpace(text: string): FreeSpace | undefined {
  const [, percent] = /^(\d{1,2}(?:\.\d{1,3})?)%$/.exec(text) ?? []
  if (percent !== undefined) return { percent: Number(percent) }
  const bytes = parseSize(text)
  return bytes === undefined ? undefined : { bytes }
}
