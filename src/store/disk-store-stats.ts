/** All sizes in bytes on the disk; all counts since the start. */
export interface DiskStoreStats {
  readonly bytes: number
  readonly maxBytes: number
  readonly entries: number
  /** Promised to blobs on their way in. */
  readonly reservedBytes: number
  /** Of the file system; undefined when it does not say. */
  readonly freeBytes: number | undefined
  readonly evictions: number
  readonly evictedBytes: number
  readonly integrityFailures: number
  readonly readErrors: number
  readonly writeErrors: number
  /** Whether the index knows all that is stored. */
  readonly indexed: boolean
  /** The code of the trouble for which nothing is written now. */
  readonly writePaused: string | undefined
}
