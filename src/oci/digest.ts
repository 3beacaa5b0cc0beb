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

const OF_NOTHING = { sha256: digestOf(Buffer.alloc(0)), sha512: digestOf(Buffer.alloc(0), 'sha512') } as const

/** Whether content of so many bytes can have the digest at all: that of nothing, and no other, is nothing's. */
export function fitsSize(digest: Digest, size: number): boolean {
  return (size === 0) === (digest === OF_NOTHING[algorithmOf(digest)])
}

/** A running hash over the bytes that are said to have a digest. */
export interface DigestCheck {
  readonly digest: Digest
  update(bytes: Uint8Array): void
  /** Whether the bytes so far are those that the digest names. To be asked once, in the end. */
  matches(): boolean
}

export function digestCheck(digest: Digest): DigestCheck {
  const algorithm = algorithmOf(digest)
  const hash: Hash = createHash(algorithm)
  return {
    digest,
    update: bytes => void hash.update(bytes),
    matches: () => `${algorithm}:${hash.digest('hex')}` === digest,
  }
}

/** Bytes that are not what their digest says. */
export class DigestMismatch extends Error {
  constructor(readonly digest: Digest) {
    super(`The bytes do not have the digest ${digest}.`)
    this.name = 'DigestMismatch'
  }
}

export function isDigestAlgorithm(text: string): text is DigestAlgorithm {
  return Object.hasOwn(HEX_LENGTH, text)
}
