import { join } from 'node:path'
import type { Digest } from '../oci/digest.js'
import { allocatedBytes } from './regular-file.js'
import { hasCode, type FileSystem } from './file-system.js'
import type { Layout } from './layout.js'

const MAX_FILES = 16

/**
 * Moves a blob's file, or whatever lies in its place, where people can look at it; false when nothing lay there.
 * Of what was moved there, the newest is kept: at most 16 files and `maxBytes` bytes. Throws the system's error, and
 * then nothing was moved.
 */
export async function quarantine(
  files: FileSystem,
  layout: Layout,
  digest: Digest,
  time: number,
  maxBytes: number,
): Promise<boolean> {
  try {
    await files.rename(layout.blob(digest), layout.aside(digest, time))
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw error
  }
  // What cannot be thinned out now is thinned out next time.
  await thinOut(files, layout.quarantine, maxBytes).catch(() => undefined)
  return true
}

async function thinOut(files: FileSystem, directory: string, maxBytes: number): Promise<void> {
  const newestFirst = (await files.readdir(directory)).sort().reverse()
  let bytes = 0
  for (const [position, name] of newestFirst.entries()) {
    const path = join(directory, name)
    bytes += allocatedBytes(await files.lstat(path, { bigint: true }))
    if (position >= MAX_FILES || bytes > maxBytes) await files.rm(path, { recursive: true, force: true })
  }
}
