import { setMaxListeners } from 'node:events'
import type { Lease } from '../../../src/store/lease.js'

export const never = new AbortController().signal
// Many wait on this one, where clients have one each.
setMaxListeners(0, never)

export interface ReadOptions {
  readonly first?: number
  /** Exclusive. */
  readonly end?: number
  readonly whole?: boolean
  readonly chunk?: number
  readonly signal?: AbortSignal
}

/** Reads a lease to its end or failure. */
export async function readAll(
  lease: Lease,
  {
    first = 0,
    end = lease.size,
    whole = first === 0 && end === lease.size,
    chunk = 64 * 1024,
    signal = never,
  }: ReadOptions = {},
): Promise<Buffer> {
  const read: Buffer[] = []
  for (let position = first; position < end || (whole && position <= end);) {
    const buffer = Buffer.alloc(Math.min(chunk, Math.max(1, end - position)))
    const count = await lease.read(buffer, position, whole, signal)
    if (count === 0) break
    read.push(buffer.subarray(0, count))
    position += count
  }
  return Buffer.concat(read)
}

/** Reads until it fails; gives what was read and why it ended. */
export async function readUntilFailure(
  lease: Lease,
  options: ReadOptions = {},
): Promise<{ count: number; error: unknown }> {
  let position = options.first ?? 0
  const buffer = Buffer.alloc(options.chunk ?? 64 * 1024)
  try {
    for (;;) {
      const count = await lease.read(buffer, position, options.whole ?? true, options.signal ?? never)
      if (count === 0) return { count: position - (options.first ?? 0), error: undefined }
      position += count
    }
  } catch (error) {
    return { count: position - (options.first ?? 0), error }
  }
}
