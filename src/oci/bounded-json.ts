import { outlineOf } from './json-outline.js'
import { MAX_MANIFEST_DEPTH, MAX_VALUES } from './manifest-limits.js'

/**
 * What JSON in UTF-8 says; undefined when it is none, is nested deeper than a manifest may be, or has more members of
 * objects than `maxKeys`, or more members and elements than `maxValues`. Such is not parsed, which would take long.
 */
export function parseBounded(bytes: Buffer, { maxKeys = MAX_VALUES, maxValues = MAX_VALUES } = {}): unknown {
  const { fault, keys, values } = outlineOf(bytes, MAX_MANIFEST_DEPTH)
  return fault === undefined && keys <= maxKeys && values <= maxValues
    ? JSON.parse(bytes.toString('utf8'))
    : undefined
}
