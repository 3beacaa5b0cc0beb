import type { Readable } from 'node:stream'
import type { Budget } from '../budget.js'
import { overloaded } from './overloaded.js'

/** Of all memory for manifests, what those that are on their way in may take; the rest is for what is stored. */
const SHARE_ON_THE_WAY = 0.9

/** The bytes of manifests and listings that are held at once, whoever holds them. */
export class ManifestMemory {
  readonly #budget: Budget
  readonly #holders = new Map<Buffer, number>()

  constructor(budget: Budget) {
    this.#budget = budget
  }

  /**
   * Reads a body to its end. Undefined when it has more than `limit` bytes, and whoever asked decides about the rest.
   * Throws when all that may be held is, or when the body breaks off.
   */
  async collect(body: Readable, limit: number): Promise<Buffer | undefined> {
    let taken = 0
    const take = (amount: number): boolean => {
      if (!this.#budget.take(amount, SHARE_ON_THE_WAY)) return false
      taken += amount
      return true
    }
    try {
      return await read(body, limit, take)
    } finally {
      this.#budget.giveBack(taken)
    }
  }

  /** Counts bytes that stay in memory until what it returns is called; the same ones count once. Throws as `collect`. */
  hold(bytes: Buffer): () => void {
    const holders = this.#holders.get(bytes) ?? 0
    if (holders === 0 && !this.#budget.take(bytes.length)) throw tooMany()
    this.#holders.set(bytes, holders + 1)
    return () => {
      const left = (this.#holders.get(bytes) ?? 1) - 1
      if (left > 0) {
        this.#holders.set(bytes, left)
        return
      }
      this.#holders.delete(bytes)
      this.#budget.giveBack(bytes.length)
    }
  }
}

function read(body: Readable, limit: number, take: (amount: number) => boolean): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const end = (settle: () => void): void => {
      body.off('data', more).off('end', whole).off('close', brokenOff).off('error', failed)
      settle()
    }
    const stop = (settle: () => void): void => {
      body.pause()
      // Nobody listens any more, and what is left may still break off.
      body.on('error', () => undefined)
      end(settle)
    }
    const more = (chunk: Buffer): void => {
      length += chunk.length
      if (length > limit) stop(() => resolve(undefined))
      else if (take(chunk.length)) chunks.push(chunk)
      else stop(() => reject(tooMany()))
    }
    const whole = (): void => end(() => resolve(Buffer.concat(chunks, length)))
    const brokenOff = (): void => end(() => reject(new Error('The body broke off.')))
    const failed = (error: Error): void => end(() => reject(error))
    body.on('data', more).once('end', whole).once('close', brokenOff).once('error', failed)
  })
}

function tooMany(): Error {
  return overloaded('as many manifests in memory')
}
