/** What one `bytes` range asks for; positions are zero-based and inclusive (RFC 9110, section 14.1.2). */
export type ByteRange =
  { readonly first: number; readonly last: number | undefined } | { readonly suffix: number }

const SINGLE_RANGE = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})$/i

/**
 * The one range that a Range header asks for. Undefined when the header must be ignored, so that the whole
 * is sent: no header, another unit, several ranges, or nonsense (RFC 9110, section 14.2). A range that ends before it
 * begins may be ignored or refused, which is left to the registry.
 */
export function parseByteRange(header: string | undefined): ByteRange | undefined {
  const match = header === undefined ? null : SINGLE_RANGE.exec(header.trim())
  if (!match) return undefined
  const [, from = '', to = ''] = match
  if (from === '') return to === '' ? undefined : { suffix: Number(to) }
  const first = Number(from)
  return { first, last: to === '' ? undefined : Number(to) }
}

/** The range as a Range header's value. */
export function byteRangeText(range: ByteRange): string {
  if ('suffix' in range) return `bytes=-${range.suffix}`
  return `bytes=${range.first}-${range.last ?? ''}`
}

/** The bytes of something `size` long that the range means, or undefined when it is not satisfiable. */
export function resolveByteRange(
  range: ByteRange,
  size: number,
): { readonly first: number; readonly last: number } | undefined {
  if ('suffix' in range) {
    return range.suffix === 0 || size === 0
      ? undefined
      : { first: Math.max(0, size - range.suffix), last: size - 1 }
  }
  const { first, last = size - 1 } = range
  return first >= size || last < first ? undefined : { first, last: Math.min(last, size - 1) }
}

const CONTENT_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/

/** A 206's Content-Range with a known total, or undefined when it is not of that form or contradicts itself. */
export function parseContentRange(
  header: string | undefined,
): { readonly first: number; readonly last: number; readonly size: number } | undefined {
  const match = header === undefined ? null : CONTENT_RANGE.exec(header)
  if (!match) return undefined
  const [first, last, size] = [Number(match[1]), Number(match[2]), Number(match[3])]
  return first <= last && last < size ? { first, last, size } : undefined
}
