import type { Socket } from 'node:net'
import { join } from 'node:path'
import { lockDirectory, type DirectoryLock } from './directory-lock.js'
import { makeDirectory } from './durable.js'
import type { FileSystem } from './file-system.js'
import type { Layout } from './layout.js'

/**
 * Makes a cache directory this process's own, and removes what an earlier one left half-way in. Whoever connects to it
 * is given to `onConnection`. Throws DirectoryInUse, or the system's error.
 */
export async function takeDirectory(
  files: FileSystem,
  layout: Layout,
  onConnection?: (socket: Socket) => void,
): Promise<DirectoryLock> {
  const { directory, root, blobs, ingest, partial, quarantine } = layout
  for (const each of [directory, root, blobs, ingest, partial, quarantine]) await makeDirectory(files, each)
  const lock = await lockDirectory(files, layout, onConnection)
  try {
    for (const name of await files.readdir(ingest)) {
      await files.rm(join(ingest, name), { recursive: true, force: true })
    }
    return lock
  } catch (error) {
    await lock.release()
    throw error
  }
}
