import { randomBytes } from 'node:crypto'
import type { Where } from './accounts.js'

export interface Token extends Where {
  readonly password: string
  /** base64 of AWS:password, which is also what follows `Basic `. */
  readonly authorizationToken: string
  readonly accessKeyId: string
  readonly mintedAt: number
  /** Epoch milliseconds. */
  expiresAt: number
}

export interface BearerToken extends Where {
  readonly text: string
  readonly accessKeyId: string | undefined
  /** Epoch milliseconds. */
  expiresAt: number
}

/** The tokens that were given out. Each is good in its region until its own end, however many come after it. */
export class Tokens {
  readonly #byPassword = new Map<string, Token>()
  readonly #bearers = new Map<string, BearerToken>()

  mint(where: Where, accessKeyId: string, ttlSeconds: number, size: number): Token {
    const password = randomBytes(size)
      .toString('base64url')
      .slice(0, Math.floor((size * 3) / 4) - 'AWS:'.length)
    const token: Token = {
      account: where.account,
      region: where.region,
      password,
      authorizationToken: Buffer.from(`AWS:${password}`).toString('base64'),
      accessKeyId,
      mintedAt: Date.now(),
      expiresAt: Date.now() + ttlSeconds * 1000,
    }
    this.#byPassword.set(password, token)
    return token
  }

  /** The token in a `Basic` Authorization header; undefined for anything else. */
  inHeader(authorization: string | undefined): Token | undefined {
    const match = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(authorization ?? '')
    const text = Buffer.from(match?.[1] ?? '', 'base64').toString('utf8')
    return text.startsWith('AWS:') ? this.#byPassword.get(text.slice('AWS:'.length)) : undefined
  }

  /** A bearer token of ECR Public; without an access key it is an anonymous one. */
  mintBearer(where: Where, accessKeyId: string | undefined, ttlSeconds: number): BearerToken {
    const token: BearerToken = {
      account: where.account,
      region: where.region,
      text: randomBytes(900).toString('base64'),
      accessKeyId,
      expiresAt: Date.now() + ttlSeconds * 1000,
    }
    this.#bearers.set(token.text, token)
    return token
  }

  bearerInHeader(authorization: string | undefined): BearerToken | undefined {
    return this.#bearers.get(/^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? '')
  }

  expireAll(): void {
    for (const token of this.#byPassword.values()) token.expiresAt = 0
    for (const token of this.#bearers.values()) token.expiresAt = 0
  }
}
