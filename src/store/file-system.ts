import type * as promises from 'node:fs/promises'

/** What the store asks of the operating system: `node:fs/promises`, or something that fails on demand. */
export type FileSystem = Pick<
  typeof promises,
  'open' | 'rename' | 'link' | 'unlink' | 'mkdir' | 'readdir' | 'lstat' | 'rm' | 'statfs'
>

/** Whether `error` is a system error with one of `codes`. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes(codeOf(error))
}

/** The system's code, such as ENOSPC; EIO for what has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'EIO'
}
