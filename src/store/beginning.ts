import { Readable } from 'node:stream'
import { algorithmOf, digestOf, type Digest } from '../oci/digest.js'
import { OciError } from '../oci/error.js'
import type { BlobSource, OpenedBlob, SourceRange } from './blob-source.js'
import type { BlobStore, Ingest } from './blob-store.js'
import { watchSilence, type Clock } from './clock.js'
import type { DownloadLimits } from './download.js'
import { PartTable } from './part-table.js'
import { abandon } from './receive.js'
import { somethingElse } from './unrepairable.js'

export interface BeginningOptions {
  readonly digest: Digest
  readonly source: BlobSource
  readonly store: BlobStore
  readonly limits: Pick<DownloadLimits, 'partSize' | 'noProgress'>
  readonly clock: Clock
  /** Ends it; it is also what it ends by when the source does not answer. */
  readonly stop: AbortController
}

/** Where a download begins. */
export interface Beginning {
  /** From the first byte that is missing on; when none is, the last byte, which is there already. */
  readonly opened: OpenedBlob
  readonly ingest: Ingest
  readonly table: PartTable
}

/**
 * Begins where an earlier download of the blob was interrupted, or else at its first byte. The source is opened in any
 * case, even where nothing is missing: that it gives the blob is what shows for whom it may be served. Throws the
 * source's OciError, CacheTrouble, or the signal's reason; what the earlier download left is then there still.
 */
export async function begin(options: BeginningOptions): Promise<Beginning> {
  return (await goOn(options)) ?? (await beginAnew(options))
}

/** Undefined when there is nothing to go on from, or it was of a blob of another size. */
async function goOn(options: BeginningOptions): Promise<Beginning | undefined> {
  const { digest, store, limits } = options
  const suspended = await store.resume(digest)
  if (!suspended) return undefined
  const { ingest, present } = suspended
  const table = new PartTable(ingest.size, present)
  try {
    const opened = await open(options, firstRange(table, limits.partSize))
    if (opened.size === ingest.size) return { opened, ingest, table }
    abandon(opened.body)
  } catch (error) {
    if (!isBeyondEnd(error)) {
      // Nothing was found wrong with what is there; a refusal, above all, is only for whom it was said.
      await ingest.suspend(digest, present).finally(() => ingest.discard())
      throw error
    }
  }
  await ingest.discard()
  return undefined
}

function firstRange({ firstGap, size }: PartTable, partSize: number): Required<SourceRange> {
  if (!firstGap) return { first: size - 1, last: size - 1 }
  const { first, last } = firstGap
  return { first, last: Math.min(last, first + partSize - 1) }
}

async function beginAnew(options: BeginningOptions): Promise<Beginning> {
  const { store, limits } = options
  const opened = await open(options, { first: 0, last: limits.partSize - 1 }).catch((error: unknown) => {
    if (isBeyondEnd(error)) return nothing(options.digest)
    throw error
  })
  try {
    return { opened, ingest: await store.ingest(opened.size), table: new PartTable(opened.size) }
  } catch (error) {
    abandon(opened.body)
    throw error
  }
}

async function open(
  { source, limits, clock, stop }: BeginningOptions,
  asked: Required<SourceRange>,
): Promise<OpenedBlob> {
  const { signal } = stop
  const patience = watchSilence(clock, limits.noProgress, () => stop.abort(noAnswer()))
  try {
    const opened = await source.open(asked, signal)
    if (!signal.aborted && covers(opened, asked)) {
      // It may break off before it is read.
      opened.body.on('error', () => undefined)
      return opened
    }
    abandon(opened.body)
    signal.throwIfAborted()
    throw somethingElse()
  } finally {
    patience.end()
  }
}

function covers({ size, first, last }: OpenedBlob, asked: Required<SourceRange>): boolean {
  return first >= 0 && first <= asked.first && last < size && last >= Math.min(size - 1, asked.last)
}

/** The range begins where there is no byte any more (RFC 9110, section 15.5.17). */
function isBeyondEnd(error: unknown): boolean {
  return error instanceof OciError && error.status === 416
}

/** What has no first byte is empty. */
function nothing(digest: Digest): OpenedBlob {
  if (digest !== digestOf(Buffer.alloc(0), algorithmOf(digest))) throw somethingElse()
  return {
    size: 0,
    first: 0,
    last: -1,
    body: Readable.from([]),
    again: () => Promise.reject(somethingElse()),
  }
}

function noAnswer(): OciError {
  return new OciError('UNKNOWN', 'ecr-mirror: the upstream did not give the blob in time; try again.', {
    status: 504,
  })
}
