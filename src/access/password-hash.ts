import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { hash as hashBcrypt, verify as verifyBcrypt } from '@node-rs/bcrypt'

/** One stored password hash. The hash itself is in a closure, so that no log or dump can show it. */
export interface PasswordHash {
  readonly algorithm: 'bcrypt' | 'scrypt' | 'argon2id'
  /** Algorithm and cost: hashes of one kind take the same time. */
  readonly kind: string
  /** The same for the same hash only, as long as the process lives; tells nothing about it. */
  readonly identity: string
  /** What makes it weaker than OWASP's Password Storage Cheat Sheet asks for, if anything. */
  readonly weakness: string | undefined
  /** Works in libuv's thread pool, by way of which files are read: who asks sees to it that few ask at a time. */
  matches(password: string): Promise<boolean>
}

/** bcrypt reads no further than this many bytes (OpenBSD, crypt_blowfish), and cuts the rest off in silence. */
export const BCRYPT_MAX_BYTES = 72

/** What one comparison may cost: a users file must not be able to take the machine's memory. */
const MAX_MEMORY = 256 * 1024 * 1024

const IDENTITY_KEY = randomBytes(32)

interface StoredHash {
  readonly algorithm: PasswordHash['algorithm']
  readonly cost: string
  readonly weakness: string | undefined
  readonly matches: (password: string) => Promise<boolean>
}

const stored = (text: string, { algorithm, cost, weakness, matches }: StoredHash): PasswordHash => ({
  algorithm,
  kind: `${algorithm} ${cost}`,
  identity: createHmac('sha256', IDENTITY_KEY).update(text).digest('base64'),
  weakness,
  matches,
})

const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/
const SCRYPT =
  /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/
const ARGON2ID =
  /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/

/**
 * Reads a hash: bcrypt (`$2a$`, `$2b$` or `$2y$`, cost 4 to 16), scrypt as
 * `$scrypt$ln=<log2 N>,r=<r>,p=<p>$<salt>$<hash>`, or argon2id as `$argon2id$v=19$m=<KiB>,t=<t>,p=<p>$<salt>$<hash>`,
 * the last two with base64 without padding (PHC string format). What is refused is described, never quoted.
 */
export function parsePasswordHash(text: string): PasswordHash | { readonly refused: string } {
  if (/^\$2[aby]\$/.test(text)) return parseBcrypt(text)
  if (text.startsWith('$scrypt$')) return parseScrypt(text)
  if (text.startsWith('$argon2id$')) return parseArgon2id(text)
  return { refused: REFUSED.find(([form]) => form.test(text))?.[1] ?? 'plain text or an unknown hash' }
}

const REFUSED: readonly (readonly [RegExp, string])[] = [
  [/^$/, 'no hash at all'],
  [/^\$apr1\$/, 'MD5 ($apr1$)'],
  [/^\$1\$/, 'MD5 ($1$)'],
  [/^\{SHA\}/i, 'SHA-1 ({SHA})'],
  [/^\{SSHA\}/i, 'SHA-1 ({SSHA})'],
  [/^\$5\$/, 'SHA-256 crypt ($5$)'],
  [/^\$6\$/, 'SHA-512 crypt ($6$)'],
  [/^\$2x?\$/, 'an outdated bcrypt ($2$ or $2x$)'],
  [/^\$argon2[id]\$/, 'argon2i or argon2d'],
  [/^\{plain\}/i, 'plain text'],
  [/^[./A-Za-z0-9]{13}$/, 'DES crypt or plain text'],
]

function parseBcrypt(text: string): PasswordHash | { readonly refused: string } {
  const match = BCRYPT.exec(text)
  if (!match) return { refused: 'a bcrypt hash that is cut off or damaged' }
  const cost = Number(match[1])
  if (cost < 4 || cost > 16) return { refused: `bcrypt of cost ${cost} (4 to 16 are taken)` }
  return stored(text, {
    algorithm: 'bcrypt',
    cost: `${cost}`,
    weakness:
      cost < 10 ? `bcrypt of cost ${cost} is quick to guess; 10 is the least one should use` : undefined,
    matches: async password =>
      Buffer.byteLength(password) <= BCRYPT_MAX_BYTES && (await verifyBcrypt(password, text)),
  })
}

function parseScrypt(text: string): PasswordHash | { readonly refused: string } {
  const match = SCRYPT.exec(text)
  if (!match) return { refused: 'a scrypt hash that is not $scrypt$ln=..,r=..,p=..$salt$hash' }
  const [ln, r, p] = [Number(match[1]), Number(match[2]), Number(match[3])]
  if (ln < 1 || r < 1 || p < 1 || p > 16 || 128 * r * (2 ** ln + p) > MAX_MEMORY) {
    return { refused: 'scrypt that needs more than 256 MiB or p above 16, or has a zero in it' }
  }
  // RFC 7914, section 6: N is less than 2^(128 r / 8). What cannot be computed would fail logins of everybody else, too.
  if (ln >= 16 * r) return { refused: 'scrypt with an ln that is not below 16 times its r' }
  const salt = Buffer.from(match[4] ?? '', 'base64')
  const hash = Buffer.from(match[5] ?? '', 'base64')
  return stored(text, {
    algorithm: 'scrypt',
    cost: `${ln} ${r} ${p}`,
    weakness: ln < 13 ? `scrypt of ln=${ln} is quick to guess; 13 is the least one should use` : undefined,
    matches: async password =>
      timingSafeEqual(await deriveScrypt(password, salt, hash.length, { ln, r, p }), hash),
  })
}

function parseArgon2id(text: string): PasswordHash | { readonly refused: string } {
  const match = ARGON2ID.exec(text)
  if (!match) return { refused: 'an argon2id hash that is not $argon2id$v=19$m=..,t=..,p=..$salt$hash' }
  const [m, t, p] = [Number(match[1]), Number(match[2]), Number(match[3])]
  if (t < 1 || t > 32 || p < 1 || p > 16 || m < 8 * p || m * 1024 > MAX_MEMORY) {
    return {
      refused: 'argon2id that needs more than 256 MiB, t above 32 or p above 16, or less than 8 KiB per lane',
    }
  }
  if (![match[4], match[5]].every(isBase64)) return { refused: 'argon2id with damaged base64 in it' }
  return stored(text, {
    algorithm: 'argon2id',
    cost: `${m} ${t} ${p}`,
    weakness: m < 7168 ? `argon2id of m=${m} is quick to guess; 7168 is the least one should use` : undefined,
    // Loaded where it is wanted: it takes 10 MiB, and few have such hashes.
    matches: async password => (await import('@node-rs/argon2')).verify(text, password),
  })
}

const unpadded = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '')

const isBase64 = (text = ''): boolean => unpadded(Buffer.from(text, 'base64')) === text

interface ScryptCost {
  /** The binary logarithm of N. */
  readonly ln: number
  readonly r: number
  readonly p: number
}

function deriveScrypt(
  password: string,
  salt: Buffer,
  length: number,
  { ln, r, p }: ScryptCost,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, length, { N: 2 ** ln, r, p, maxmem: 2 * MAX_MEMORY }, (error, derived) => {
      if (error) reject(error)
      else resolve(derived)
    })
  })
}

/** Why nobody could log in with this password, or undefined when they could. */
export function passwordProblem(password: string): string | undefined {
  if (password === '') return 'The password is empty.'
  if (/\p{Cc}/u.test(password))
    return 'The password has a control character in it, which no client can send (RFC 7617).'
  return undefined
}

/** Costs of about a quarter of a second, both at or above what OWASP's Password Storage Cheat Sheet asks for. */
const BCRYPT_COST = 12
const SCRYPT_COST: ScryptCost = { ln: 15, r: 8, p: 3 }

/**
 * Hashes a password that has no `passwordProblem` for an htpasswd file.
 * bcrypt, since CNCF distribution, nginx and Apache read the same file; scrypt where bcrypt would cut the password.
 */
export async function hashPassword(password: string): Promise<string> {
  const problem = passwordProblem(password)
  if (problem !== undefined) throw new TypeError(problem)
  if (Buffer.byteLength(password) <= BCRYPT_MAX_BYTES) return hashBcrypt(password, BCRYPT_COST)
  const salt = randomBytes(16)
  const { ln, r, p } = SCRYPT_COST
  const hash = await deriveScrypt(password, salt, 32, SCRYPT_COST)
  return `$scrypt$ln=${ln},r=${r},p=${p}$${unpadded(salt)}$${unpadded(hash)}`
}
