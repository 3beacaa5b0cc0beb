import { createHash, type Hash } from 'node:crypto'

declare const digestBrand: unique symbol

/**
 * A content identifier, `<algorithm>:<lower-case hex>`, already checked against the registered algorithms.
 * OCI image-spec, descriptor.md, "Digests".
 */
export type Digest = string & { readonly [digestBrand]: true }

/** The registered algorithms, each with the length of its hex form. */
const HEX_LENGTH = { sha256: 64, sha512: 128 } as const

export type DigestAlgorithm = keyof typeof HEX_LENGTH

const DIGEST = /^(sha256):([0-9a-f]{64})$|^(sha512):([0-9a-f]{128})$/

/** The digest that `text` spells, or undefined when it is not exactly a registered algorithm and its hex. */
export function parseDigest(text: string): Digest | undefined {
  return DIGEST.test(text) ? (text as Digest) : undefined
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256'
}

/** The hex part; safe as a file name, since it was validated. */
export function hexOf(digest: Digest): string {
  return digest.slice(algorithmOf(digest).length + 1)
}

/** The digest of `bytes`. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest
}

/** A running hash that can say in the end whether it saw the bytes that `expected` names. */
export function digestCheck(expected: Digest): { update(bytes: Uint8Array): void; matches(): boolean } {
  const algorithm = algorithmOf(expected)
  const hash: Hash = createHash(algorithm)
  return {
    update: bytes => void hash.update(bytes),
    matches: () => `${algorithm}:${hash.digest('hex')}` === expected,
  }
}

export function isDigestAlgorithm(text: string): text is DigestAlgorithm {
  return Object.hasOwn(HEX_LENGTH, text)
}
