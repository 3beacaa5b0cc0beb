const BACKSLASH = 0x5c
const LETTER_U = 0x75

/** A name in a JSON object that is one of the fields looked for. */
export interface FoundField {
  /** Which one. */
  readonly index: number
  /** Whether it is spelled as it should be, whatever is escaped in it. */
  readonly isExact: boolean
}

/** Fields to look for, prepared. Their names are ASCII. */
export interface FieldNames {
  readonly names: readonly string[]
  /** By index, as `findField` gives it: one object for each, since a manifest may have hundreds of thousands of names. */
  readonly exact: readonly FoundField[]
  readonly respelled: readonly FoundField[]
  readonly folded: readonly string[]
  readonly longest: number
  /** By a name's first byte, whether it may be one of them. */
  readonly mayBegin: Uint8Array
}

export function fieldNames(names: readonly string[]): FieldNames {
  return {
    names,
    exact: names.map((_, index) => ({ index, isExact: true })),
    respelled: names.map((_, index) => ({ index, isExact: false })),
    folded: names.map(name => name.toLowerCase()),
    longest: Math.max(...names.map(name => name.length)),
    mayBegin: Uint8Array.from({ length: 256 }, (_, byte) => {
      const letter = String.fromCharCode(byte).toLowerCase()
      return byte === BACKSLASH || byte >= 0x80 || names.some(name => name[0] === letter) ? 1 : 0
    }),
  }
}

/**
 * What other letters become when case is folded in both steps, as far as that is ASCII: the long s, the Kelvin sign, the
 * dotless i, the sharp s and ligatures (Unicode, CaseFolding.txt and SpecialCasing.txt).
 */
const FOLDED_OTHERS: ReadonlyMap<number, string> = new Map(
  Array.from('ſ\u212aıßẞﬀﬁﬂﬃﬄﬅﬆ', letter => [letter.charCodeAt(0), letter.toUpperCase().toLowerCase()]),
)

/** The longest that one letter becomes. */
const MAX_EXPANSION = 3

/** Bytes of an escape such as `\u0061`. */
const LONG_ESCAPE = 6

const spelled = new Uint16Array(32)
const folded = new Uint16Array(32)

/**
 * The field that a JSON string names, read as those do who look past case and escapes. The string's bytes are those
 * between its quotes, from `start` to before `end`, and valid. Looks at no more of them than the longest field has room
 * for, and allocates nothing.
 */
export function findField(
  json: Uint8Array,
  start: number,
  end: number,
  fields: FieldNames,
): FoundField | undefined {
  if (end - start > fields.longest * LONG_ESCAPE || fields.mayBegin[json[start] ?? 0] === 0) return undefined
  let length = 0
  let isPlain = true
  for (let at = start; at < end;) {
    if (length + MAX_EXPANSION > folded.length || length > fields.longest) return undefined
    const byte = json[at] ?? 0
    let code = byte
    if (byte === BACKSLASH) {
      const isLong = json[at + 1] === LETTER_U
      // A short escape stands for a sign that no field has.
      if (!isLong) return undefined
      code = hexAt(json, at + 2)
      at += LONG_ESCAPE
    } else if (byte < 0x80) {
      at += 1
    } else if (byte < 0xe0) {
      code = ((byte & 0x1f) << 6) | ((json[at + 1] ?? 0) & 0x3f)
      at += 2
    } else if (byte < 0xf0) {
      code = ((byte & 0x0f) << 12) | (((json[at + 1] ?? 0) & 0x3f) << 6) | ((json[at + 2] ?? 0) & 0x3f)
      at += 3
    } else {
      return undefined
    }
    if (code < 0x80) {
      spelled[length] = code
      folded[length++] = code >= 0x41 && code <= 0x5a ? code + 0x20 : code
      continue
    }
    const others = FOLDED_OTHERS.get(code)
    if (others === undefined) return undefined
    isPlain = false
    for (let index = 0; index < others.length; index++) folded[length++] = others.charCodeAt(index)
  }
  for (let index = 0; index < fields.folded.length; index++) {
    if (!isText(folded, length, fields.folded[index] ?? '')) continue
    const isExact = isPlain && isText(spelled, length, fields.names[index] ?? '')
    return (isExact ? fields.exact : fields.respelled)[index]
  }
  return undefined
}

function isText(codes: Uint16Array, length: number, text: string): boolean {
  if (text.length !== length) return false
  for (let index = 0; index < length; index++) if (codes[index] !== text.charCodeAt(index)) return false
  return true
}

function hexAt(json: Uint8Array, start: number): number {
  let code = 0
  for (let at = start; at < start + 4; at++) {
    const byte = json[at] ?? 0
    code = code * 16 + (byte <= 0x39 ? byte - 0x30 : (byte | 0x20) - 0x57)
  }
  return code
}
