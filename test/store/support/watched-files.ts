import * as nodeFiles from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { parseDigest, type Digest } from '../../../src/oci/digest.js'
import type { FileSystem } from '../../../src/store/file-system.js'

/** A read of a blob's file that gave bytes. */
export interface BlobRead {
  readonly digest: Digest
  readonly bytes: number
  /** By the clock, in milliseconds. */
  readonly at: number
}

/** The real files, which tell what is read of blobs, and fail or lie on demand. */
export class WatchedFiles {
  readonly reads: BlobRead[] = []
  /** Awaited before each read of a blob. */
  beforeRead: (digest: Digest) => Promise<void> | void = () => undefined
  /** May change what was read. */
  distort: (digest: Digest, bytes: Uint8Array, position: number) => void = () => undefined
  /** Called before each file is opened. */
  beforeOpen: (path: string, flags: unknown) => void = () => undefined
  readonly files: FileSystem

  constructor(now: () => number) {
    const open = async (...args: Parameters<FileSystem['open']>): Promise<FileHandle> => {
      const path = String(args[0])
      this.beforeOpen(path, args[1])
      const handle = await nodeFiles.open(...args)
      const digest = digestIn(path)
      if (digest) this.#watch(handle, digest, now)
      return handle
    }
    this.files = { ...nodeFiles, open }
  }

  /** How many bytes were read of each blob, in the order of their first reads. */
  totals(): Map<Digest, number> {
    const totals = new Map<Digest, number>()
    for (const { digest, bytes } of this.reads) totals.set(digest, (totals.get(digest) ?? 0) + bytes)
    return totals
  }

  #watch(handle: FileHandle, digest: Digest, now: () => number): void {
    const read = handle.read.bind(handle) as (
      buffer: Uint8Array,
      offset: number,
      length: number,
      position: number,
    ) => Promise<{ bytesRead: number; buffer: Uint8Array }>
    handle.read = (async (buffer: Uint8Array, offset: number, length: number, position: number) => {
      await this.beforeRead(digest)
      const done = await read(buffer, offset, length, position)
      if (done.bytesRead > 0) this.reads.push({ digest, bytes: done.bytesRead, at: now() })
      this.distort(digest, buffer.subarray(offset, offset + done.bytesRead), position)
      return done
    }) as never
  }
}

function digestIn(path: string): Digest | undefined {
  const [, algorithm, hex] = /\/blobs\/(sha256|sha512)\/..\/([0-9a-f]+)$/.exec(path) ?? []
  return parseDigest(`${algorithm}:${hex}`)
}
