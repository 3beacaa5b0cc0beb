import type { StoredBlob } from './blob-store.js'
import type { StoredFile } from './stored-file.js'

export interface HeldBlobOptions {
  readonly file: StoredFile
  /** In bytes. */
  readonly size: number
  readonly isVerified: () => boolean
  readonly markVerified: () => void
  /** Turns the system's error into what is thrown. */
  readonly trouble: (error: unknown) => Error
}

/** One reader's hold on a stored file, which must have been taken for it. */
export function heldBlob({ file, size, isVerified, markVerified, trouble }: HeldBlobOptions): StoredBlob {
  let released = false
  return {
    size,
    get verified() {
      return isVerified()
    },
    markVerified,
    read: async (buffer, position) => {
      try {
        return (await file.handle.read(buffer, 0, buffer.length, position)).bytesRead
      } catch (error) {
        throw trouble(error)
      }
    },
    release: () => {
      if (released) return
      released = true
      file.release()
    },
  }
}
