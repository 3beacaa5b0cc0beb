import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { Header, Pax } from 'tar'
import type { HeaderData } from 'tar'
import { BundleRefused } from './bundle-refused.js'
import { readBytes, type ByteReader } from './byte-reader.js'

export interface TarEntry {
  /** As the archive has it: whatever its author liked. */
  readonly path: string
  readonly kind: 'file' | 'directory' | 'other'
  /** In bytes. */
  readonly size: number
  /** To be read before the next entry is asked for; what is left is passed over. */
  readonly body: AsyncIterable<Uint8Array>
}

/** POSIX.1-2017, pax, "ustar Interchange Format". */
const BLOCK = 512

/** The most that a header may say about an entry beside its block, in bytes. */
const MAX_EXTENDED = 64 * 1024

/**
 * The entries of a tar archive (ustar, pax, GNU), gzipped or not, one at a time and as the reader goes on, so that nothing
 * waits in memory. Throws BundleRefused for what is none or is cut off, and what reading the source throws.
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const chunks = await gunzipped(source)
  try {
    yield* entriesIn(readBytes(chunks))
    // To its end, whatever stands there: whoever sends it is not to be cut off.
    await passOver({ [Symbol.asyncIterator]: () => chunks })
  } finally {
    await chunks.return?.()
  }
}

async function* entriesIn(bytes: ByteReader): AsyncGenerator<TarEntry> {
  let global: HeaderData | undefined
  let extended: HeaderData | undefined
  for (;;) {
    const block = await bytes.take(BLOCK)
    if (block.length < BLOCK) throw cutOff()
    const header = new Header(block, 0, extended, global)
    if (header.nullBlock) return
    const { size = 0 } = header
    // What an extended header says is the whole of it (POSIX), whatever is in the block's own prefix.
    const path = extended?.path ?? header.path ?? ''
    if (!header.cksumValid || !Number.isSafeInteger(size)) throw new BundleRefused('this is no tar archive')
    if (EXTENDING.has(header.type)) {
      if (size > MAX_EXTENDED)
        throw new BundleRefused(`a header in the tar archive is larger than ${MAX_EXTENDED} bytes`)
      const text = await wholeBody(bytes, size)
      if (header.type === 'GlobalExtendedHeader') global = Pax.parse(text, global, true)
      else if (!header.type.endsWith('ExtendedHeader')) extended = longName(header.type, text, extended)
      else extended = Pax.parse(text, extended, false)
      continue
    }
    extended = undefined
    const body = bodyOf(bytes, size)
    yield { path, kind: kindOf(header), size, body }
    await passOver(body)
  }
}

const EXTENDING: ReadonlySet<string> = new Set([
  'ExtendedHeader',
  'OldExtendedHeader',
  'GlobalExtendedHeader',
  'NextFileHasLongPath',
  'OldGnuLongPath',
  'NextFileHasLongLinkpath',
])

/** GNU tar, "Basic Tar Format": names that do not fit stand in an entry of their own. */
function longName(type: string, text: string, extended: HeaderData | undefined): HeaderData {
  const [name = ''] = text.split('\0')
  return type === 'NextFileHasLongLinkpath' ? { ...extended } : { ...extended, path: name }
}

function kindOf({ type }: Header): TarEntry['kind'] {
  if (['File', 'OldFile', 'ContiguousFile'].includes(type)) return 'file'
  return type === 'Directory' ? 'directory' : 'other'
}

async function wholeBody(bytes: ByteReader, size: number): Promise<string> {
  const padded = await bytes.take(size + paddingOf(size))
  if (padded.length < size) throw cutOff()
  return padded.subarray(0, size).toString('utf8')
}

/** An entry's bytes, once: whoever goes on later gets what is left. */
function bodyOf(bytes: ByteReader, size: number): AsyncIterable<Uint8Array> {
  let left = size
  let padding = paddingOf(size)
  return {
    async *[Symbol.asyncIterator]() {
      while (left > 0) {
        const piece = await bytes.next(left)
        if (!piece) throw cutOff()
        left -= piece.length
        yield piece
      }
      const rest = padding
      padding = 0
      await bytes.take(rest)
    },
  }
}

async function passOver(bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const pieces = bytes[Symbol.asyncIterator]()
  while (!(await pieces.next()).done);
}

/** What fills an entry's last block. */
export function paddingOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK
}

function cutOff(): BundleRefused {
  return new BundleRefused('the tar archive is cut off')
}

/** RFC 1952, section 2.3.1. */
const GZIP = Buffer.from([0x1f, 0x8b])

async function gunzipped(source: AsyncIterable<Uint8Array>): Promise<AsyncIterator<Uint8Array>> {
  const chunks = source[Symbol.asyncIterator]()
  let start = Buffer.alloc(0)
  while (start.length < GZIP.length) {
    const result = await chunks.next()
    if (result.done) break
    start = Buffer.concat([start, result.value])
  }
  const whole = withStart(start, chunks)
  if (!start.subarray(0, GZIP.length).equals(GZIP)) return whole
  // What fails on the way comes out of it.
  const plain: Readable = pipeline(whole, createGunzip(), () => undefined)
  return asBundle(plain)
}

async function* withStart(
  start: Buffer,
  chunks: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield start
    for (;;) {
      const result = await chunks.next()
      if (result.done) return
      yield result.value
    }
  } finally {
    await chunks.return?.()
  }
}

async function* asBundle(plain: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* plain
  } catch (error) {
    const isGzips = error instanceof Error && 'code' in error && String(error.code).startsWith('Z_')
    throw isGzips ? new BundleRefused('the gzip stream is damaged or cut off', { cause: error }) : error
  }
}
