import { Header, Pax } from 'tar'
import { paddingOf } from './tar-reader.js'

/** Before a file's bytes (POSIX.1-2017, pax). The same for the same name and size, whoever writes it and when. */
export function fileHeader(path: string, size: number): Buffer {
  return headerOf({ path, size, mode: 0o644, type: 'File' })
}

export function directoryHeader(path: string): Buffer {
  return headerOf({ path, size: 0, mode: 0o755, type: 'Directory' })
}

/** After a file's bytes. */
export function filePadding(size: number): Buffer {
  return Buffer.alloc(paddingOf(size))
}

/** After all files. */
export function endOfArchive(): Buffer {
  return Buffer.alloc(1024)
}

interface Entry {
  readonly path: string
  readonly size: number
  readonly mode: number
  readonly type: 'File' | 'Directory'
}

/** What an ustar block has room for, in its own octal digits. */
const MAX_OCTAL_SIZE = 8 ** 11 - 1

/** What an ustar block has room for, in bytes. */
const MAX_NAME = 99

function headerOf({ path, size, mode, type }: Entry): Buffer {
  const tooLong = Buffer.byteLength(path) > MAX_NAME
  const header = new Header({
    path: path.slice(0, MAX_NAME),
    size,
    mode,
    type,
    uid: 0,
    gid: 0,
    mtime: new Date(0),
  })
  header.encode()
  const block = header.block ?? Buffer.alloc(0)
  if (!tooLong && size <= MAX_OCTAL_SIZE) return block
  const pax = new Pax({ ...(tooLong && { path }), ...(size > MAX_OCTAL_SIZE && { size }) })
  return Buffer.concat([pax.encode(), block])
}
