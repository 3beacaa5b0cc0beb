/** A request as it stands in the bytes. */
export interface StrictRequest {
  readonly method: string
  readonly target: string
  readonly version: string
  /** Names in lower case. */
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly body: string
}

/** What a reader makes of the bytes of a connection that takes nothing but what RFC 9112 allows. */
export interface Reading {
  readonly requests: readonly StrictRequest[]
  /** A request whose head is whole and whose body is not. */
  readonly begun: StrictRequest | undefined
  /** How the bytes go on behind the last whole request: not at all, with too few bytes, or with what is no request. */
  readonly rest: 'none' | 'partial' | 'malformed'
}

/**
 * Empty lines before a request are ignored (RFC 9112, section 2.2); they hold nothing, however they end. Words
 * may be further apart than one space (section 3). Node's parser does not tell RTSP from HTTP, which no reader takes for two different things.
 */
const REQUEST_LINE = /[\r\n]*([A-Z]+) +([\x21-\x7e]+) +(?:HTTP|RTSP)\/(1\.[01])\r\n/y
const FIELD = /([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[\x21-\x7e\x80-\xff]|[ \t]+(?=[^ \t\r]))*)[ \t]*\r\n/y
const CHUNK = /(0*[0-9A-Fa-f]{1,8})(?:[ \t]*;[\x20-\x7e\t]*)?\r\n/y
const LINE_END = /\r\n/y

/** What ends the reading: the bytes ran out, or are nothing that may stand there. */
class Broken extends Error {
  readonly rest: 'partial' | 'malformed'
  constructor(rest: 'partial' | 'malformed') {
    super(rest)
    this.rest = rest
  }
}

/** Reads a connection's bytes, as latin1 text. */
export function readStrictly(bytes: string): Reading {
  const requests: StrictRequest[] = []
  let begun: StrictRequest | undefined
  let at = 0

  function take(pattern: RegExp): RegExpExecArray {
    pattern.lastIndex = at
    const match = pattern.exec(bytes)
    // A line that has no end yet may become anything.
    if (!match) throw new Broken(bytes.indexOf('\n', at) < 0 ? 'partial' : 'malformed')
    at = pattern.lastIndex
    return match
  }

  function fields(): [string, string][] {
    const found: [string, string][] = []
    while (!bytes.startsWith('\r\n', at)) {
      const [, name = '', value = ''] = take(FIELD)
      found.push([name.toLowerCase(), value])
    }
    at += 2
    return found
  }

  function exactly(size: number): string {
    if (at + size > bytes.length) throw new Broken('partial')
    at += size
    return bytes.slice(at - size, at)
  }

  function chunks(): string {
    let body = ''
    for (;;) {
      const size = Number.parseInt(take(CHUNK)[1] ?? '', 16)
      if (size === 0) break
      body += exactly(size)
      if (bytes.length - at < 2) throw new Broken('partial')
      take(LINE_END)
    }
    // Framing may not be told at the end (RFC 9110, section 6.5.1).
    if (fields().some(([name]) => ['content-length', 'transfer-encoding'].includes(name)))
      throw new Broken('malformed')
    return body
  }

  try {
    while (at < bytes.length) {
      begun = undefined
      const [, method = '', target = '', version = ''] = take(REQUEST_LINE)
      const head = { method, target, version, fields: fields(), body: '' }
      begun = head
      const of = (wanted: string): string[] =>
        head.fields.filter(([name]) => name === wanted).map(([, value]) => value)
      const [codings, lengths] = [of('transfer-encoding'), of('content-length')]
      if (codings.length + lengths.length > 1) throw new Broken('malformed')
      if (codings.length > 0 && (codings[0]?.toLowerCase() !== 'chunked' || version !== '1.1'))
        throw new Broken('malformed')
      if (lengths.length > 0 && !/^\d{1,15}$/.test(lengths[0] ?? '')) throw new Broken('malformed')
      requests.push({ ...head, body: codings.length > 0 ? chunks() : exactly(Number(lengths[0] ?? 0)) })
      begun = undefined
    }
    return { requests, begun, rest: 'none' }
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    return { requests, begun, rest: error.rest }
  }
}
