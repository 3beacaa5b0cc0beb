import { createCipheriv, createHash, randomUUID, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'

/** Bytes that can be read again and again, from anywhere; positions are inclusive. */
export interface Content {
  readonly size: number
  read(first: number, last: number): AsyncIterable<Buffer>
}

const PIECE = 64 * 1024

export function memoryContent(bytes: Buffer): Content {
  return {
    size: bytes.length,

    async *read(first, last) {
      for (let at = first; at <= last; at += PIECE) yield bytes.subarray(at, Math.min(at + PIECE, last + 1))
    },
  }
}

export function fileContent(path: string, size: number): Content {
  return {
    size,
    async *read(first, last) {
      if (last < first) return
      yield* createReadStream(path, { start: first, end: last }) as AsyncIterable<Buffer>
    },
  }
}

/** Bytes made on the fly, always the same for a seed: an AES counter stream, so that any place can be reached. */
export function generatedContent(size: number, seed: string): Content {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16)
  return {
    size,

    async *read(first, last) {
      const block = Math.floor(first / 16)
      const counter = Buffer.alloc(16)
      counter.writeBigUInt64BE(BigInt(block), 8)
      const stream = createCipheriv('aes-128-ctr', key, counter)
      stream.update(Buffer.alloc(first - block * 16))
      for (let at = first; at <= last; at += PIECE) {
        yield stream.update(Buffer.alloc(Math.min(PIECE, last + 1 - at)))
      }
    },
  }
}

export function digestOfBytes(bytes: Uint8Array | string, algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

export async function digestOfContent(content: Content): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of content.read(0, content.size - 1)) hash.update(chunk)
  return `sha256:${hash.digest('hex')}`
}

export async function bytesOf(content: Content): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of content.read(0, content.size - 1)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const MEMORY_LIMIT = 16 * 1024 * 1024

/** Collects the bytes of an upload: in memory up to 16 MiB, beyond that in a file of `directory`. */
export class Spool {
  readonly #path: string
  readonly #hashes: ReadonlyMap<string, Hash>
  #chunks: Buffer[] = []
  #file: FileHandle | undefined
  #size = 0

  constructor(directory: string, algorithms: readonly string[]) {
    this.#hashes = new Map(algorithms.map(algorithm => [algorithm, createHash(algorithm)]))
    this.#path = join(directory, randomUUID())
  }

  get size(): number {
    return this.#size
  }

  async append(chunk: Buffer): Promise<void> {
    this.#size += chunk.length
    for (const hash of this.#hashes.values()) hash.update(chunk)
    if (this.#file) {
      await this.#file.appendFile(chunk)
      return
    }
    this.#chunks.push(chunk)
    if (this.#size <= MEMORY_LIMIT) return
    this.#file = await open(this.#path, 'w')
    await this.#file.appendFile(Buffer.concat(this.#chunks))
    this.#chunks = []
  }

  /** The digest so far; undefined for an algorithm that is not kept. */
  digest(algorithm: string): string | undefined {
    const hash = this.#hashes.get(algorithm)
    return hash && `${algorithm}:${hash.copy().digest('hex')}`
  }

  async seal(): Promise<Content> {
    if (!this.#file) return memoryContent(Buffer.concat(this.#chunks))
    await this.#file.close()
    return fileContent(this.#path, this.#size)
  }

  async discard(): Promise<void> {
    this.#chunks = []
    await this.#file?.close()
    await rm(this.#path, { force: true })
  }
}
