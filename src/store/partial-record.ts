import type { FileHandle } from 'node:fs/promises'
import type { Extent } from './blob-store.js'

/**
 * What is known of a blob of which only some is there. It stands in the blob's own file, behind where the blob ends, so
 * that one renaming moves both; the last digits of the file say how long it is.
 */
export interface PartialRecord {
  /** Of the whole blob, in bytes. */
  readonly size: number
  /** What is there, in order and apart. */
  readonly present: readonly Extent[]
}

const DIGITS = 10
/** In bytes; a file that says otherwise is damaged. */
const MAX_LENGTH = 1024 * 1024

/** The record as it is to be written at the blob's end. */
export function recordBytes({ size, present }: PartialRecord): Buffer {
  const text = JSON.stringify({ size, present: present.map(({ first, last }) => [first, last]) })
  return Buffer.from(text + String(text.length).padStart(DIGITS, '0'))
}

/** The record in a file of `length` bytes; undefined when there is none, or it does not fit the file. */
export async function readRecord(handle: FileHandle, length: number): Promise<PartialRecord | undefined> {
  const end = length - DIGITS
  const digits = await textAt(handle, end, DIGITS)
  if (!/^\d+$/.test(digits) || Number(digits) > Math.min(end, MAX_LENGTH)) return undefined
  const size = end - Number(digits)
  const record = parse(await textAt(handle, size, Number(digits)))
  return record?.size === size ? record : undefined
}

async function textAt(handle: FileHandle, position: number, length: number): Promise<string> {
  if (position < 0) return ''
  const buffer = Buffer.alloc(length)
  const { bytesRead } = await handle.read(buffer, 0, length, position)
  return buffer.toString('latin1', 0, bytesRead)
}

function parse(text: string): PartialRecord | undefined {
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null || !('size' in value) || !('present' in value))
    return undefined
  const { size } = value
  if (!isCount(size)) return undefined
  const present: Extent[] = []
  let end = 0
  for (const pair of listOf(value.present)) {
    const [first, last] = listOf(pair)
    if (!isCount(first) || !isCount(last) || first < end || last < first || last >= size) return undefined
    present.push({ first, last })
    end = last + 1
  }
  return { size, present }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value)
}
