import { parseDigest, type Digest } from './digest.js'

declare const repositoryBrand: unique symbol
declare const tagBrand: unique symbol

/** A repository name, checked against the grammar of the distribution-spec, "Pulling manifests". */
export type Repository = string & { readonly [repositoryBrand]: true }

/** A tag, checked against the grammar of the distribution-spec, "Pulling manifests". */
export type Tag = string & { readonly [tagBrand]: true }

/** What a manifest is asked for by. */
export type Reference = { readonly tag: Tag } | { readonly digest: Digest }

/** The spec's grammar has nested repetition; split by `/` first, so that each match is linear. */
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/

/** Registry host and name together may not exceed this (distribution-spec, "Pulling manifests"). */
const MAX_NAME_LENGTH = 255

export function parseRepository(text: string): Repository | undefined {
  if (text.length > MAX_NAME_LENGTH) return undefined
  return text.split('/').every(component => COMPONENT.test(component)) ? (text as Repository) : undefined
}

export function parseTag(text: string): Tag | undefined {
  return TAG.test(text) ? (text as Tag) : undefined
}

/** A digest when there is a colon in it, since no tag can have one; else a tag. */
export function parseReference(text: string): Reference | undefined {
  if (text.includes(':')) {
    const digest = parseDigest(text)
    return digest && { digest }
  }
  const tag = parseTag(text)
  return tag && { tag }
}

/** The reference as it stands in a path. */
export function referenceText(reference: Reference): string {
  return 'tag' in reference ? reference.tag : reference.digest
}
