import { constants, type BigIntStats } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { hasCode, type FileSystem } from './file-system.js'

const SAFELY = constants.O_NOFOLLOW | constants.O_NONBLOCK
const READING = constants.O_RDONLY | SAFELY

export interface RegularFile {
  readonly handle: FileHandle
  readonly stat: BigIntStats
}

/**
 * Opens a regular file, for reading unless `flags` say more: undefined when there is none, `other` when something else
 * lies there, such as a symbolic link, which is not followed, or a FIFO, which is not waited for. When reading is no
 * access (`access: false`), it leaves the file's atime as it is, where the system can do that. Throws the system's error.
 */
export async function openRegular(
  files: FileSystem,
  path: string,
  { access = true, flags = constants.O_RDONLY }: { readonly access?: boolean; readonly flags?: number } = {},
): Promise<RegularFile | 'other' | undefined> {
  let handle: FileHandle
  try {
    handle = access ? await files.open(path, flags | SAFELY) : await openWithoutAccess(files, path)
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

async function openWithoutAccess(files: FileSystem, path: string): Promise<FileHandle> {
  try {
    // Where there is no such flag, it is undefined, which adds nothing.
    return await files.open(path, READING | constants.O_NOATIME)
  } catch (error) {
    if (!hasCode(error, 'EPERM')) throw error
    // Only the owner of a file may have its atime left alone. open(2), "O_NOATIME".
    return files.open(path, READING)
  }
}

/** Differs once a file is another one or was changed. */
export function identityOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(':')
}

/** In bytes: what a file takes of the disk. POSIX counts blocks of 512 here, whatever the file system's are. */
export function allocatedBytes({ blocks }: BigIntStats): number {
  return Number(blocks) * 512
}
