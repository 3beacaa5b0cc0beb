import { parseReference, parseRepository, type Reference, type Repository } from './reference.js'

/** An image as people name it, without a registry's own address before it. */
export interface ImageName {
  readonly name: Repository
  readonly reference: Reference
}

/**
 * Reads `<repository>:<tag>`, `<repository>@<digest>`, or `<repository>:<tag>@<digest>`, of which the digest counts.
 * Without any the tag is `latest`, as docker has it. Undefined when it is none of these.
 */
export function parseImageName(text: string): ImageName | undefined {
  const [named = '', digest, ...rest] = text.split('@')
  if (rest.length > 0) return undefined
  const colon = named.lastIndexOf(':')
  const hasTag = colon > named.lastIndexOf('/')
  const name = parseRepository(hasTag ? named.slice(0, colon) : named)
  const reference = parseReference(digest ?? (hasTag ? named.slice(colon + 1) : 'latest'))
  const isDigest = reference !== undefined && 'digest' in reference
  if (!name || !reference || (digest !== undefined && !isDigest)) return undefined
  return { name, reference }
}
