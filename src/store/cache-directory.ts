import * as files from 'node:fs/promises'
import { algorithmOf, digestOf, type Digest } from '../oci/digest.js'
import { layoutOf, type Layout } from './layout.js'
import { openRegular } from './regular-file.js'

/** A cache directory, looked at from outside while somebody else may own it. Nothing is changed. */
export interface CacheDirectory {
  readonly layout: Layout
  /** A blob's size in bytes; undefined when it is not there. */
  sizeOf(digest: Digest): Promise<number | undefined>
  /** A small blob's bytes, if they have the digest; undefined when it is not there, or is larger than `limit` bytes. */
  read(digest: Digest, limit: number): Promise<Buffer | undefined>
  /** A blob's bytes, whatever they are; none when it is not there. A piece is good until the next one is asked for. */
  stream(digest: Digest): AsyncGenerator<Uint8Array>
}

/** Bytes that are read at a time. */
const PIECE = 1024 * 1024

/** Its methods throw the system's error. */
export function lookAtCacheDirectory(directory: string): CacheDirectory {
  const layout = layoutOf(directory)

  async function open(digest: Digest) {
    const opened = await openRegular(files, layout.blob(digest), { access: false })
    return opened === 'other' ? undefined : opened
  }

  return {
    layout,
    async sizeOf(digest) {
      const opened = await open(digest)
      await opened?.handle.close()
      return opened && Number(opened.stat.size)
    },
    async read(digest, limit) {
      const opened = await open(digest)
      if (!opened) return undefined
      try {
        if (opened.stat.size > BigInt(limit)) return undefined
        const bytes = await opened.handle.readFile()
        return digestOf(bytes, algorithmOf(digest)) === digest ? bytes : undefined
      } finally {
        await opened.handle.close()
      }
    },
    async *stream(digest) {
      const opened = await open(digest)
      if (!opened) return
      try {
        const buffer = Buffer.allocUnsafeSlow(PIECE)
        for (;;) {
          const { bytesRead } = await opened.handle.read(buffer, 0, buffer.length)
          if (bytesRead === 0) return
          yield buffer.subarray(0, bytesRead)
        }
      } finally {
        await opened.handle.close()
      }
    },
  }
}
