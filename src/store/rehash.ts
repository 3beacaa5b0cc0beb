import type { Digest } from '../oci/digest.js'
import type { BlobStore } from './blob-store.js'
import { hasDigest } from './hash-follower.js'
import type { Pace } from './pace.js'

export interface Rehashed {
  /** In bytes. */
  readonly size: number
  /** Whether it was wrong, and was set aside. */
  readonly bad: boolean
}

/** What a blob takes of the pace beside its bytes, since opening many small ones is work too. In bytes. */
const OPENING = 64 * 1024

/**
 * Hashes a stored blob again at a pace, which is no use of it: right, it counts as verified; wrong, it is set aside,
 * unless it was replaced meanwhile. Undefined when it is not there. Throws CacheTrouble, or the signal's reason.
 */
export async function rehash(
  store: BlobStore,
  digest: Digest,
  pace: Pace,
  signal: AbortSignal,
): Promise<Rehashed | undefined> {
  await pace.take(Math.min(OPENING, pace.piece), signal)
  const stored = await store.open(digest, { use: false })
  if (!stored) return undefined
  const { size, verified } = stored
  let taken = 0
  const reached = async (position: number): Promise<void> => {
    await pace.take(position - taken, signal)
    taken = position
  }
  try {
    if (!(await hasDigest({ digest, bytes: stored, chunk: pace.piece, reached }))) {
      return { size, bad: await store.setAside(digest, stored) }
    }
    // A use may have changed the file's times since, and has then kept what was verified in step with them.
    if (!verified) stored.markVerified()
    return { size, bad: false }
  } finally {
    stored.release()
  }
}
