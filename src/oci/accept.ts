/**
 * The media types that an Accept header asks for, in an order and spelling that depend on nothing but what is asked
 * (RFC 9110, section 12.5.1): docker sends the same set in another order each time.
 */
export function normalAccept(header: string | undefined): string {
  return [...new Set(itemsOf(header))].sort().join(',')
}

/** Whether an Accept header takes a media type. A header that is missing takes everything. */
export function accepts(header: string | undefined, mediaType: string): boolean {
  const asked = itemsOf(header).map(item => item.split(';')[0] ?? '')
  const type = mediaType.toLowerCase()
  const family = `${type.split('/')[0] ?? ''}/*`
  return asked.length === 0 || [type, family, '*/*'].some(each => asked.includes(each))
}

function itemsOf(header = ''): string[] {
  return header
    .toLowerCase()
    .split(',')
    .map(item => item.replace(/[ \t]/g, ''))
    .filter(item => item !== '')
}
