import { OciError } from '../oci/error.js'
import type { BlobSource, OpenedBlob, SourceRange } from './blob-source.js'
import { Unrepairable } from './unrepairable.js'

/** Where the ranges of one blob are read, all from the same place as long as it gives any. */
export interface Place {
  /**
   * Throws Unrepairable when the registry itself refuses, the signal's reason, or whatever kept the source from
   * opening; then another try may help.
   */
  open(range: Required<SourceRange>, signal: AbortSignal): Promise<OpenedBlob>
}

/** What a registry says about a blob, and not about how it is itself: asking again gets the same. */
const REFUSED = [401, 403, 404, 416]

export function isRefusal(error: unknown): error is OciError {
  return error instanceof OciError && REFUSED.includes(error.status)
}

/** Begins with the place where a blob was opened. When that is lost, one asks the registry and all go on by its answer. */
export function createPlace(source: BlobSource, opened: OpenedBlob): Place {
  let place: OpenedBlob | undefined = opened
  let renewal: Promise<OpenedBlob> | undefined

  async function renew(range: Required<SourceRange>, signal: AbortSignal): Promise<OpenedBlob> {
    place = undefined
    renewal = source.open(range, signal)
    try {
      place = await renewal
      return place
    } catch (error) {
      throw isRefusal(error) ? new Unrepairable(error) : error
    } finally {
      renewal = undefined
    }
  }

  return {
    async open(range, signal) {
      for (;;) {
        signal.throwIfAborted()
        if (renewal) {
          // Its failure is for all who wait for it: each of them asking at once would not help.
          await renewal
          continue
        }
        const asked: OpenedBlob | undefined = place
        if (!asked) return renew(range, signal)
        try {
          return await asked.again(range, signal)
        } catch {
          signal.throwIfAborted()
        }
        if (asked === place) return renew(range, signal)
      }
    },
  }
}
