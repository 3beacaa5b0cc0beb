import { fieldNames, findField, type FieldNames } from './field-name.js'

/** The fields of a manifest that say what it contains. */
export const ROOT_FIELDS = [
  'mediaType',
  'config',
  'layers',
  'manifests',
  'blobs',
  'subject',
  'fsLayers',
] as const
export type RootField = (typeof ROOT_FIELDS)[number]

/** What is to be known of JSON before it is parsed. */
export interface JsonOutline {
  /** Why there is no more to tell: it is no JSON (RFC 8259), or nested too deep, and then not read to its end. */
  readonly fault: 'syntax' | 'depth' | undefined
  readonly isObject: boolean
  /** Members of objects. */
  readonly keys: number
  /** Members of objects and elements of arrays. */
  readonly values: number
  /** Objects in the lists that a manifest has descriptors in. */
  readonly descriptors: number
  /** The fields that count of a manifest, in whatever spelling. */
  readonly fields: ReadonlySet<RootField>
  /** The first field that says what a manifest contains and stands there twice, or not as it is spelled. */
  readonly twofold: string | undefined
  /** Where the value of `mediaType` stands, quotes included, when it is a string. */
  readonly mediaType: { readonly start: number; readonly end: number } | undefined
}

const ROOT = fieldNames(ROOT_FIELDS)
const DESCRIPTOR = fieldNames(['digest', 'mediaType', 'urls'])

const rootIndex = (field: RootField): number => ROOT_FIELDS.indexOf(field)
const MEDIA_TYPE = rootIndex('mediaType')
const SINGLE = new Set([rootIndex('config'), rootIndex('subject')])
const LISTS = new Set([rootIndex('layers'), rootIndex('manifests'), rootIndex('blobs')])

/** What may come next. */
const VALUE = 0
const VALUE_OR_END = 1
const KEY = 2
const KEY_OR_END = 3
const COLON = 4
const NEXT = 5

/** What is open: an object or an array, and whether its names or its elements count. */
const OBJECT = 0
const ROOT_OBJECT = 1
const DESCRIPTOR_OBJECT = 2
const ARRAY = 3
const LIST = 4

/**
 * Looks through JSON once, from the first byte to the last, in time and memory that depend on nothing but its length and
 * `maxDepth`: what is made of megabytes of brackets or names takes many times their memory when it is parsed. It takes
 * what JSON.parse takes; that the bytes are UTF-8 is the caller's to know.
 */
export function outlineOf(json: Uint8Array, maxDepth: number): JsonOutline {
  const open = new Uint8Array(maxDepth + 1)
  /** For each open object, which of the fields that count it had, a bit each. */
  const seen = new Uint8Array(maxDepth + 1)
  let fault: JsonOutline['fault']
  let [depth, keys, values, descriptors] = [0, 0, 0, 0]
  let isObject = false
  let twofold: string | undefined
  let mediaType: JsonOutline['mediaType']
  let rootFields = 0
  /** The root's field whose value comes, if it is one that counts. */
  let rootField = -1
  let expected = VALUE
  let isOver = false
  let at = 0

  for (; at < json.length; at++) {
    const byte = json[at] ?? 0
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) continue
    if (isOver) break
    const level = open[depth] ?? OBJECT
    const isIn = depth > 0
    if (expected === NEXT) {
      if (byte === 0x2c) expected = level >= ARRAY ? VALUE : KEY
      else if (byte === (level >= ARRAY ? 0x5d : 0x7d)) {
        depth--
        isOver = depth === 0
      } else break
      continue
    }
    if (expected === COLON) {
      if (byte !== 0x3a) break
      expected = VALUE
      continue
    }
    if (expected === KEY || expected === KEY_OR_END) {
      if (byte === 0x7d && expected === KEY_OR_END) {
        depth--
        isOver = depth === 0
        expected = NEXT
        continue
      }
      if (byte !== 0x22) break
      const end = endOfString(json, at)
      if (end < 0) break
      keys++
      values++
      const fields = fieldsOf(level)
      if (depth === 1) rootField = -1
      if (fields) {
        const found = findField(json, at + 1, end - 1, fields)
        if (found) {
          const bit = 1 << found.index
          if (!found.isExact || ((seen[depth] ?? 0) & bit) !== 0) twofold ??= fields.names[found.index]
          seen[depth] = (seen[depth] ?? 0) | bit
          if (depth === 1) {
            rootField = found.index
            rootFields |= bit
          }
        }
      }
      at = end - 1
      expected = COLON
      continue
    }
    // A value.
    if (byte === 0x5d && expected === VALUE_OR_END) {
      depth--
      isOver = depth === 0
      expected = NEXT
      continue
    }
    if (isIn && level >= ARRAY) values++
    if (byte === 0x7b || byte === 0x5b) {
      if (depth === maxDepth) {
        fault = 'depth'
        break
      }
      const opened = openedBy(byte === 0x7b, depth, level, rootField)
      if (opened === DESCRIPTOR_OBJECT && depth === 2) descriptors++
      if (depth === 0) isObject = byte === 0x7b
      depth++
      open[depth] = opened
      seen[depth] = 0
      expected = byte === 0x7b ? KEY_OR_END : VALUE_OR_END
      continue
    }
    const end = byte === 0x22 ? endOfString(json, at) : endOfScalar(json, at)
    if (end < 0) break
    if (byte === 0x22 && depth === 1 && level === ROOT_OBJECT && rootField === MEDIA_TYPE)
      mediaType = { start: at, end }
    at = end - 1
    isOver = depth === 0
    expected = NEXT
  }
  if (at < json.length || !isOver) fault ??= 'syntax'
  const fields = new Set(ROOT_FIELDS.filter((_, index) => (rootFields & (1 << index)) !== 0))
  return { fault, isObject, keys, values, descriptors, fields, twofold, mediaType }
}

function fieldsOf(level: number): FieldNames | undefined {
  if (level === ROOT_OBJECT) return ROOT
  return level === DESCRIPTOR_OBJECT ? DESCRIPTOR : undefined
}

/** What begins inside of `depth` levels, the innermost of which is `level`. */
function openedBy(isObject: boolean, depth: number, level: number, rootField: number): number {
  if (isObject) {
    if (depth === 0) return ROOT_OBJECT
    const isDescriptor =
      (depth === 1 && level === ROOT_OBJECT && SINGLE.has(rootField)) || (depth === 2 && level === LIST)
    return isDescriptor ? DESCRIPTOR_OBJECT : OBJECT
  }
  return depth === 1 && level === ROOT_OBJECT && LISTS.has(rootField) ? LIST : ARRAY
}

/** Behind the closing quote of the string that begins at `start`; -1 when it is none. */
function endOfString(json: Uint8Array, start: number): number {
  for (let at = start + 1; at < json.length; at++) {
    const byte = json[at] ?? 0
    if (byte === 0x22) return at + 1
    if (byte < 0x20) return -1
    if (byte !== 0x5c) continue
    const escape = json[++at] ?? 0
    if (escape === 0x75) {
      for (let digit = 0; digit < 4; digit++) if (!isHex(json[++at] ?? 0)) return -1
    } else if (!isEscape(escape)) return -1
  }
  return -1
}

function isHex(byte: number): boolean {
  const lower = byte | 0x20
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66)
}

const ESCAPES = Uint8Array.from({ length: 256 }, (_, byte) =>
  '"\\/bfnrt'.includes(String.fromCharCode(byte)) ? 1 : 0,
)

function isEscape(byte: number): boolean {
  return ESCAPES[byte] === 1
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

const TRUE = Buffer.from('true')
const FALSE = Buffer.from('false')
const NULL = Buffer.from('null')

/** Behind the number or the literal that begins at `start`; -1 when it is none. */
function endOfScalar(json: Uint8Array, start: number): number {
  const byte = json[start] ?? 0
  if (byte === 0x2d || isDigit(byte)) return endOfNumber(json, start)
  const literal = byte === TRUE[0] ? TRUE : byte === FALSE[0] ? FALSE : NULL
  for (let index = 0; index < literal.length; index++) if (json[start + index] !== literal[index]) return -1
  return start + literal.length
}

/** RFC 8259, section 6. */
function endOfNumber(json: Uint8Array, start: number): number {
  let at = json[start] === 0x2d ? start + 1 : start
  if (json[at] === 0x30) at++
  else if ((at = endOfDigits(json, at)) < 0) return -1
  if (json[at] === 0x2e && (at = endOfDigits(json, at + 1)) < 0) return -1
  if (((json[at] ?? 0) | 0x20) === 0x65) {
    const sign = json[at + 1]
    return endOfDigits(json, at + (sign === 0x2b || sign === 0x2d ? 2 : 1))
  }
  return at
}

/** Behind one digit or more; -1 when there is none. */
function endOfDigits(json: Uint8Array, start: number): number {
  let at = start
  while (isDigit(json[at] ?? 0)) at++
  return at === start ? -1 : at
}
