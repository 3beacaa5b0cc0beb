import type { Answer } from '../upstream/send.js'
import type { RequestShare } from './request-share.js'

/**
 * The body of an upstream's answer as a whole, which counts as held for as long as the request goes on. Undefined when
 * it has more than `limit` bytes. Throws when too much is held already, or when it breaks off. Reads no further then.
 */
export async function readAnswer(
  { body }: Answer,
  share: RequestShare,
  limit: number,
): Promise<Buffer | undefined> {
  let bytes: Buffer | undefined
  try {
    bytes = await share.collect(body, limit)
    return bytes
  } finally {
    if (!bytes) body.destroy()
  }
}
