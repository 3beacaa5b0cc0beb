/** What a client logs in with; neither has been checked yet. */
export interface BasicCredentials {
  readonly user: string
  readonly password: string
}

const MAX_HEADER_LENGTH = 8 * 1024
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i

/**
 * The credentials in an Authorization header of the Basic scheme (RFC 7617), UTF-8 only. Everything that is not
 * exactly that (another scheme, broken base64, no colon, an empty user, control characters, more than 8 KiB)
 * is no credentials: undefined. containers/image sends `Basic Og==`, an empty user, when it has none.
 */
export function parseBasicCredentials(header: string | undefined): BasicCredentials | undefined {
  if (header === undefined || header.length > MAX_HEADER_LENGTH) return undefined
  const encoded = BASIC.exec(header)?.[1]
  if (encoded === undefined) return undefined
  const bytes = Buffer.from(encoded, 'base64')
  if (bytes.toString('base64') !== encoded) return undefined
  const text = decodeUtf8(bytes)
  if (text === undefined || /\p{Cc}/u.test(text)) return undefined
  const colon = text.indexOf(':')
  return colon < 1 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes)
  } catch {
    return undefined
  }
}
