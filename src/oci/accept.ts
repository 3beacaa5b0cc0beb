/**
 * The media types that an Accept header asks for, in an order and spelling that depend on nothing but what is asked
 * (RFC 9110, section 12.5.1): docker sends the same set in another order each time. Types and subtypes have no case
 * (section 8.3.1), but a registry may read them as if they had; so this very text is what goes upstream, and what its
 * answer is kept under. Empty when nothing is asked for that can be sent.
 */
export function normalAccept(header: string | undefined): string {
  return [...new Set(itemsOf(header))].sort().join(',')
}

/** Whether an Accept header takes a media type. A header that is missing takes everything. */
export function accepts(header: string | undefined, mediaType: string): boolean {
  const type = mediaType.toLowerCase()
  const family = `${type.split('/')[0] ?? ''}/*`
  const taken = typesIn(header)
  return itemsOf(header).length === 0 || [type, family, '*/*'].some(each => taken.includes(each))
}

/** Whether a media type is among those that an Accept header takes by name. */
export function names(header: string | undefined, mediaType: string): boolean {
  return typesIn(header).includes(mediaType.toLowerCase())
}

/** A weight of 0 means "not acceptable" (RFC 9110, section 12.4.2). */
const REFUSED = /;q=0(?:\.0{0,3})?(?:;|$)/

function typesIn(header: string | undefined): string[] {
  return itemsOf(header).flatMap(item => (REFUSED.test(item) ? [] : (item.split(';')[0] ?? [])))
}

/** Not empty, and nothing that a header could not carry. */
const SENDABLE = /^[\x21-\x7e]+$/

function itemsOf(header = ''): string[] {
  return header
    .toLowerCase()
    .split(',')
    .map(item => item.replace(/[ \t]/g, ''))
    .filter(item => SENDABLE.test(item))
}
