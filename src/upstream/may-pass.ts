/** Addresses and identities of AWS, and the signs of its credentials, in any spelling of a header or a URL. */
const FAR_SIDE = new RegExp(
  [
    'amazonaws|amazonwebservices|cloudfront\\.net|\\.on\\.aws',
    // The isolated partitions.
    'sgov\\.gov|c2s\\.ic\\.gov|hci\\.ic\\.gov|adc-e\\.uk',
    'arn:aws',
    'X-Amz-|AWS4-HMAC|AWS4-ECDSA',
    // What an Authorization header begins with; QVdTO is `AWS:` in base64, as a token of ECR begins (RFC 7617).
    'authorization["\']?\\s*[:=]\\s*["\']?\\w+\\s|\\b(?:Basic|Bearer)\\s+[\\w+/.=~-]{16}|QVdTO',
  ].join('|'),
  'i',
)

/** Access keys (IAM User Guide, "Unique identifiers"). */
const ACCESS_KEY = /(?:AKIA|ASIA)[A-Z0-9]{12,}/

/** A run of base64 that is no word: tokens of ECR have more than a thousand letters of both cases and digits. */
const LONG_RUN = /[\w+/=-]{100,}/g

/**
 * Whether words of an upstream may be passed on: whether they hold none of its addresses and identities and nothing of
 * the mirror's credentials, which an upstream may repeat. They are looked at as they are and with the escapes of JSON
 * and of URLs undone, wherever in the text they stand.
 */
export function mayPass(text: string): boolean {
  const plain = withoutEscapes(text)
  return [text, plain, withoutEscapes(plain)].every(
    each => !FAR_SIDE.test(each) && !ACCESS_KEY.test(each) && !(each.match(LONG_RUN) ?? []).some(isMixed),
  )
}

/** Names are in lower case, and so are digests; long ones are no secrets. */
function isMixed(run: string): boolean {
  return /[a-z]/.test(run) && /[A-Z]/.test(run) && /[0-9]/.test(run)
}

function withoutEscapes(text: string): string {
  return text
    .replace(/(?:\\u00|%)([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replace(/\\[rnt]|[\r\n\t]/g, '')
    .replace(/\\(.)/g, '$1')
}
