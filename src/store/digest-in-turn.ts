import { digestOf, type Digest, type DigestAlgorithm } from '../oci/digest.js'
import { nextTurn } from '../yielder.js'

/** Hashing as much as this takes a fraction of a millisecond, in bytes. */
const LARGE = 64 * 1024

/** The digest of a manifest's bytes; of several large ones one is hashed in each turn of the event loop. */
export async function digestInTurn(bytes: Uint8Array, algorithm?: DigestAlgorithm): Promise<Digest> {
  if (bytes.length >= LARGE) await nextTurn()
  return digestOf(bytes, algorithm)
}
