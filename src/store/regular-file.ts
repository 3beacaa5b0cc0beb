import { constants, type BigIntStats } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { hasCode, type FileSystem } from './file-system.js'

export interface RegularFile {
  readonly handle: FileHandle
  readonly stat: BigIntStats
}

/**
 * Opens a regular file, for reading unless `access` says more: undefined when there is none, `other` when something else lies there, such as a
 * symbolic link, which is not followed, or a FIFO, which is not waited for. Throws the system's error.
 */
export async function openRegular(
  files: FileSystem,
  path: string,
  access: number = constants.O_RDONLY,
): Promise<RegularFile | 'other' | undefined> {
  let handle: FileHandle
  try {
    handle = await files.open(path, access | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined
    if (hasCode(error, 'ELOOP', 'ENXIO', 'EISDIR')) return 'other'
    throw error
  }
  try {
    const stat = await handle.stat({ bigint: true })
    if (stat.isFile()) return { handle, stat }
  } catch (error) {
    await handle.close()
    throw error
  }
  await handle.close()
  return 'other'
}

/** Differs once a file is another one or was changed. */
export function identityOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(':')
}

/** In bytes: what a file takes of the disk. POSIX counts blocks of 512 here, whatever the file system's are. */
export function allocatedBytes({ blocks }: BigIntStats): number {
  return Number(blocks) * 512
}
