import type { Digest } from '../oci/digest.js'

/** What happens, for log and metrics. */
export type BlobCacheEvent =
  | {
      readonly kind: 'fill started' | 'fill joined' | 'fill completed'
      readonly digest: Digest
      readonly size: number
    }
  /** It goes on from `received` bytes that an earlier one left, or leaves them to a later one. All in bytes. */
  | {
      readonly kind: 'fill resumed' | 'fill suspended'
      readonly digest: Digest
      readonly size: number
      readonly received: number
    }
  /** Nobody wanted it any more. */
  | {
      readonly kind: 'fill abandoned'
      readonly digest: Digest
      readonly size: number | undefined
      readonly received: number
    }
  | { readonly kind: 'fill failed'; readonly digest: Digest; readonly error: unknown }
  /** A range broke off and was gone on with at `position`. */
  | { readonly kind: 'repaired'; readonly digest: Digest; readonly position: number; readonly error: unknown }
  /** Bytes were not what their digest says: those of the upstream, or those that were stored. */
  | { readonly kind: 'mismatch'; readonly digest: Digest; readonly where: 'upstream' | 'store' }
  /** What was pushed is stored. */
  | { readonly kind: 'captured'; readonly digest: Digest; readonly size: number }
  /** `bytes` of a push were not kept: it did not come to its end here, or the cache was in trouble or too slow. */
  | { readonly kind: 'capture dropped'; readonly bytes: number; readonly error: Error }
  | { readonly kind: 'cache trouble'; readonly digest: Digest; readonly error: Error }
