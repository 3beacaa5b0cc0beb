/** A secret that the tests know, and what it is called. */
export interface Canary {
  readonly kind: string
  readonly text: string
}

/** A secret that was seen, and how it was written there. */
export interface Hit {
  readonly kind: string
  readonly form: string
}

/** The ways in which a text may be written where it should not be. */
export function formsOf(text: string): ReadonlyMap<string, string> {
  const hex = Buffer.from(text).toString('hex')
  const forms = new Map([
    ['raw', text],
    ['in JSON', JSON.stringify(text).slice(1, -1)],
    ['percent-encoded', encodeURIComponent(text)],
    ['hex', hex],
    ['HEX', hex.toUpperCase()],
  ])
  // What stands before it shifts the letters of base64, so there are three of each, without those it shares.
  for (let before = 0; before < 3; before++) {
    const bytes = Buffer.from('\0'.repeat(before) + text)
    const inner = (encoded: string): string =>
      encoded.replace(/=+$/, '').slice(before === 0 ? 0 : before + 1, bytes.length % 3 === 0 ? undefined : -1)
    forms.set(`base64, ${before} before`, inner(bytes.toString('base64')))
    forms.set(`base64url, ${before} before`, inner(bytes.toString('base64url')))
  }
  return forms
}

/** The search for some secrets, prepared once. */
export function searchFor(canaries: Iterable<Canary>): (text: string) => Hit[] {
  const needles = [...canaries].flatMap(({ kind, text }) =>
    [...formsOf(text)].map(([form, needle]) => ({ kind, form, needle })),
  )
  return text =>
    needles.filter(({ needle }) => text.includes(needle)).map(({ kind, form }) => ({ kind, form }))
}

/** The secrets in requests as they went over the wire: ECR tokens, and what signs the URLs of layers. */
export function canariesIn(wire: string): Canary[] {
  const found = new Map<string, string>()
  for (const [, scheme = '', token = ''] of wire.matchAll(/^authorization: (Basic|Bearer) (\S+)/gim)) {
    found.set(token, 'ECR token')
    const password = Buffer.from(token, 'base64').toString('utf8').split(':')[1]
    if (scheme.toLowerCase() === 'basic' && password) found.set(password, 'ECR token')
  }
  for (const [, name = '', value = ''] of wire.matchAll(
    /[?&](X-Amz-(?:Signature|Credential|Security-Token))=([^&\s]+)/gi,
  ))
    found.set(decodeURIComponent(value), name)
  return [...found].map(([text, kind]) => ({ kind, text }))
}
