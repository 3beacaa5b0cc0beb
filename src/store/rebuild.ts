import { join } from 'node:path'
import type { Digest } from '../oci/digest.js'
import type { DiskIndex, IndexedFile } from './disk-index.js'
import { allocatedBytes } from './regular-file.js'
import { hasCode, type FileSystem } from './file-system.js'
import { digestAt } from './layout.js'

/** How many files are looked at side by side; more would keep Node's threads from what is being served. */
const SIDE_BY_SIDE = 2

interface Found extends IndexedFile {
  readonly digest: Digest
  /** In nanoseconds since 1970, roughly. */
  readonly lastUse: number
}

/**
 * Completes the index from what lies below `blobs`, in the background: readers need not wait for it. Only regular
 * files whose names are digests count; other things are left alone. Throws the system's error, the index then holding
 * what was found until then, or the signal's reason.
 */
export async function rebuild(
  files: FileSystem,
  blobs: string,
  index: DiskIndex,
  signal: AbortSignal,
): Promise<void> {
  const found: Found[] = []
  index.beginRebuild()
  try {
    for (const algorithm of await namesIn(files, blobs)) {
      for (const folder of await namesIn(files, join(blobs, algorithm))) {
        const names = await namesIn(files, join(blobs, algorithm, folder))
        const look = async (): Promise<void> => {
          for (let name = names.pop(); name !== undefined; name = names.pop()) {
            signal.throwIfAborted()
            const digest = digestAt(algorithm, folder, name)
            const file = digest && (await lookAt(files, join(blobs, algorithm, folder, name), digest))
            if (file) found.push(file)
          }
        }
        await Promise.all(Array.from({ length: SIDE_BY_SIDE }, look))
      }
    }
  } finally {
    found.sort((a, b) => a.lastUse - b.lastUse)
    index.complete(found.map(file => [file.digest, file]))
  }
}

async function namesIn(files: FileSystem, directory: string): Promise<string[]> {
  try {
    return await files.readdir(directory)
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return []
    throw error
  }
}

async function lookAt(files: FileSystem, path: string, digest: Digest): Promise<Found | undefined> {
  try {
    const stat = await files.lstat(path, { bigint: true })
    if (!stat.isFile()) return undefined
    return { digest, size: Number(stat.size), allocated: allocatedBytes(stat), lastUse: Number(stat.atimeNs) }
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}
