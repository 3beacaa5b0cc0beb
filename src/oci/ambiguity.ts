import { isDeeperThan, MAX_MANIFEST_DEPTH } from './json-depth.js'

const ROOT = ['mediaType', 'config', 'layers', 'manifests', 'subject', 'fsLayers'] as const
const DESCRIPTOR = ['digest', 'mediaType', 'urls'] as const

/** Of what is at most one in a manifest: an image's contents, an index's, and those of Docker's first format. */
const CONTENTS = [['config', 'layers'], ['manifests'], ['fsLayers']] as const

const INDEX_TYPE = /index|manifest\.list/i

/**
 * Why two readers may take the same bytes for two manifests that name different blobs, in words that follow "The
 * manifest"; undefined when all who read JSON read the same. One registry takes the first of two `layers`, another the
 * last, one looks at `layers` and another at `manifests` (CVE-2021-41190), and Go's takes `Layers` for `layers`: what one
 * has checked would be vouched for by the other.
 */
export function ambiguityIn(bytes: Uint8Array, mediaType?: string): string | undefined {
  const text = decodeUtf8(bytes)
  if (text === undefined) return 'is not UTF-8'
  if (isDeeperThan(bytes, MAX_MANIFEST_DEPTH)) return `is nested more than ${MAX_MANIFEST_DEPTH} deep`
  const manifest = parsedObject(text)
  if (!manifest) return 'is not a JSON object'
  const twofold = twofoldField(text)
  if (twofold !== undefined) return `has the field "${twofold}" twice, or in another spelling`
  const kinds = CONTENTS.filter(fields => fields.some(field => field in manifest))
  if (kinds.length > 1) return 'is of more than one kind: an image has layers, an index has manifests'
  const types = [mediaType, manifest['mediaType']].filter(type => typeof type === 'string')
  if (kinds[0]?.[0] === 'config' && types.some(type => INDEX_TYPE.test(type)))
    return 'has the type of an index and the layers of an image'
  return undefined
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function parsedObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Readonly<Record<string, unknown>>)
      : undefined
  } catch {
    return undefined
  }
}

/** Where the string that begins at `start` has its closing quote. */
function endOfString(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}

/** An object or an array that is being read, with the fields in it that count. */
interface Level {
  readonly isObject: boolean
  readonly fields: readonly string[]
  readonly seen: Set<string>
  key: string
  awaitsKey: boolean
}

/** The first field, among those that say what a manifest contains, that stands there twice or not as it is spelled. */
function twofoldField(json: string): string | undefined {
  const levels: Level[] = []
  for (let at = 0; at < json.length; at++) {
    const level = levels.at(-1)
    const letter = json[at]
    if (letter === '"') {
      const end = endOfString(json, at)
      if (level?.awaitsKey) {
        level.awaitsKey = false
        level.key = JSON.parse(json.slice(at, end + 1)) as string
        const field = level.fields.find(each => folded(each) === folded(level.key))
        if (field !== undefined && (field !== level.key || level.seen.has(field))) return field
        if (field !== undefined) level.seen.add(field)
      }
      at = end
    } else if (letter === '{' || letter === '[') {
      const isObject = letter === '{'
      levels.push({ isObject, fields: fieldsOf(levels), seen: new Set(), key: '', awaitsKey: isObject })
    } else if (letter === '}' || letter === ']') {
      levels.pop()
    } else if (letter === ',' && level) {
      level.awaitsKey = level.isObject
    }
  }
  return undefined
}

/** Which fields count in what begins inside of these levels. */
function fieldsOf(levels: readonly Level[]): readonly string[] {
  const [root, list] = levels
  if (!root) return ROOT
  const isSingle = levels.length === 1 && ['config', 'subject'].includes(root.key)
  const isListed =
    levels.length === 2 && list?.isObject === false && ['layers', 'manifests'].includes(root.key)
  return isSingle || isListed ? DESCRIPTOR : []
}

/** As readers that look past case fold it: both steps, for letters such as the long s. */
const folded = (name: string): string => name.toUpperCase().toLowerCase()
