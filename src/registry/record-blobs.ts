import type { FastifyRequest } from 'fastify'
import type { Digest } from '../oci/digest.js'
import { Yielder } from '../yielder.js'
import type { Cache } from './cache.js'

/** Blobs that are recorded before others get their turn: each is a line in the journal. */
const AT_A_TIME = 200

/** Records that the request's repository has these blobs, however many. Throws the signal's reason. */
export async function recordBlobs(
  request: FastifyRequest,
  cache: Pick<Cache, 'record'>,
  digests: readonly Digest[],
  signal?: AbortSignal,
): Promise<void> {
  const yielder = new Yielder()
  for (let at = 0; at < digests.length; at += AT_A_TIME) {
    if (at > 0) await yielder.step(signal)
    cache.record(request, digests.slice(at, at + AT_A_TIME))
  }
}
