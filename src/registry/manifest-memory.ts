import type { Readable } from 'node:stream'
import type { Budget } from '../budget.js'
import { ALONE, Shares, type Client } from '../shares.js'
import { overloaded } from './overloaded.js'

/** Of all memory for manifests, what those that are on their way in may take; the rest is for what is stored. */
const SHARE_ON_THE_WAY = 0.9

/** As large as one listing may be, in bytes: what every client may hold. */
const LEAST = 8 * 1024 * 1024

/** The bytes of manifests and listings that are held at once, whoever holds them. */
export class ManifestMemory {
  readonly #shares: Shares
  /** Who holds bytes that are in memory once, and how often. The first of them has them on its account. */
  readonly #holders = new Map<Buffer, { count: number; readonly payer: Client }>()

  constructor(budget: Budget) {
    this.#shares = new Shares(budget, LEAST)
  }

  /**
   * Reads a body to its end. Undefined when it has more than `limit` bytes, and whoever asked decides about the rest.
   * Throws when all that may be held is, or when the body breaks off.
   */
  async collect(body: Readable, limit: number, client = ALONE): Promise<Buffer | undefined> {
    let taken = 0
    const take = (amount: number): boolean => {
      if (!this.#shares.take(client, amount, SHARE_ON_THE_WAY)) return false
      taken += amount
      return true
    }
    try {
      return await read(body, limit, take)
    } finally {
      this.#shares.giveBack(client, taken)
    }
  }

  /** Counts bytes that stay in memory until what it returns is called; the same ones count once. Throws as `collect`. */
  hold(bytes: Buffer, client = ALONE): () => void {
    const held = this.#holders.get(bytes) ?? { count: 0, payer: client }
    if (held.count === 0 && !this.#shares.take(client, bytes.length)) throw tooMany()
    held.count++
    this.#holders.set(bytes, held)
    return () => {
      held.count--
      if (held.count > 0) return
      this.#holders.delete(bytes)
      this.#shares.giveBack(held.payer, bytes.length)
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
