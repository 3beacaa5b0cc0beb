import { OciError } from '../oci/error.js'
import type { Answer } from '../upstream/send.js'
import { connectionError } from '../upstream/transport-error.js'
import type { RequestShare } from './request-share.js'

export interface ReadAnswerOptions {
  /** In bytes. */
  readonly limit: number
  /** The upstream's name, for people. */
  readonly upstream: string
  readonly share: RequestShare
  readonly signal: AbortSignal
}

/**
 * The body of an upstream's answer as a whole, which counts as held for as long as the request goes on. Undefined when
 * it has more bytes than the limit. Throws an OciError when too much is held already (503) or when it breaks off (502,
 * 504), or the signal's reason. Reads no further then.
 */
export async function readAnswer(
  { body }: Answer,
  { limit, upstream, share, signal }: ReadAnswerOptions,
): Promise<Buffer | undefined> {
  let bytes: Buffer | undefined
  try {
    bytes = await share.collect(body, limit)
    return bytes
  } catch (error) {
    signal.throwIfAborted()
    throw error instanceof OciError ? error : brokenOff(error, upstream)
  } finally {
    if (!bytes) body.destroy()
  }
}

function brokenOff(cause: unknown, upstream: string): OciError {
  const failure = connectionError(cause, `the upstream "${upstream}"`)
  if (failure.status === 504) return failure
  const message = `The upstream "${upstream}" broke off in the middle of its answer; try again.`
  return new OciError('UNKNOWN', message, { status: 502, cause })
}
