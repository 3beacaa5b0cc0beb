import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hasCode, type FileSystem } from './file-system.js'

/** Writes all of `bytes` at `position`. A short write is no error in Node, and one of nothing would loop for ever. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    if (bytesWritten === 0) throw Object.assign(new Error('Nothing was written.'), { code: 'ENOSPC' })
    done += bytesWritten
  }
}

/** Makes a directory's entries durable. Some network file systems cannot, and say so. */
export async function syncDirectory(files: FileSystem, directory: string): Promise<void> {
  const handle = await files.open(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } catch (error) {
    if (!hasCode(error, 'EINVAL', 'ENOTSUP')) throw error
  } finally {
    await handle.close()
  }
}

/** Makes a directory, and those above it, durably; for the owner only. One that is there is left as it is. */
export async function makeDirectory(files: FileSystem, directory: string): Promise<void> {
  const outermost = await files.mkdir(directory, { recursive: true, mode: 0o700 })
  if (outermost === undefined) return
  let made = directory
  for (;;) {
    await syncDirectory(files, dirname(made))
    if (made.length <= outermost.length) return
    made = dirname(made)
  }
}
