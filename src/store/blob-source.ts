import type { Readable } from 'node:stream'
import type { Client } from '../shares.js'

/** Where the bytes of one blob come from when the store lacks them. `upstream` fits it without importing it. */
export interface BlobSource {
  /** For whom it is opened, whose share a download of it counts to. */
  readonly client?: Client
  /**
   * The repository that it reads, in any spelling. A refusal is an answer about one repository: readers of another ask
   * their own. Undefined where a refusal is for this reader alone.
   */
  readonly origin?: string
  /** Called before a download begins from it. What it throws is for this reader alone, and no download begins. */
  readonly admit?: () => void
  /**
   * Opens the blob at `first`, up to `last` (inclusive) or to its end. May give more than was asked for: all of it.
   * Throws an OciError when there is nothing to be had, or the signal's reason.
   */
  open(range: SourceRange, signal: AbortSignal): Promise<OpenedBlob>
}

/** Zero-based and inclusive; without `last`, to the end. */
export interface SourceRange {
  readonly first: number
  readonly last?: number
}

/** Bytes `first` to `last` of a blob of `size` bytes; for an empty blob, `last` is -1. */
export interface OpenedBlob {
  readonly size: number
  readonly first: number
  readonly last: number
  /** To be read to its end or destroyed. It may break off. */
  readonly body: Readable
  /**
   * Another range from the same place, without asking the registry anew where that is. Throws an OciError when the
   * place gives nothing any more (its signature has expired); then the blob is opened anew.
   */
  again(range: Required<SourceRange>, signal: AbortSignal): Promise<OpenedBlob>
}
