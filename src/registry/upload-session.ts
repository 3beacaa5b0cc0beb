import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { z } from 'zod'
import type { Principal } from '../access/policy.js'
import type { Secret } from '../secret.js'

const Session = z.object({
  /** For the client's eyes, as Docker-Upload-UUID. */
  id: z.string(),
  /** Whose session it is, as `ownerOf` has it. */
  principal: z.string(),
  upstream: z.string(),
  /** The upstream's host: replicas may mean different ones by its name, and so may a configuration that has changed. */
  registry: z.string(),
  /** The repository as the client names it in the path. */
  name: z.string(),
  /** The repository as the upstream knows it. */
  repository: z.string(),
  /** Path and query of the upload at the upstream. */
  location: z.string().startsWith('/'),
  /** Bytes the upstream has accepted. */
  offset: z.number().int().nonnegative(),
  /** Milliseconds since the epoch. */
  expires: z.number(),
})

/** An upload in progress: all there is to know about it, so that no replica has to remember anything. */
export type UploadSession = Readonly<z.infer<typeof Session>>

/** Who may go on with a session. A user and a certificate of the same name are two. */
export const ownerOf = ({ kind, name }: Principal): string => `${kind}:${name}`

/** How long a session can be continued, in milliseconds. ECR forgets an upload after about a day. */
export const SESSION_LIFETIME = 24 * 60 * 60 * 1000

export interface UploadSessions {
  /** The session as one path segment, readable and alterable by nobody but the holders of the key. */
  seal(session: UploadSession): string
  /** Undefined when the segment was altered, was sealed with another key or has expired. */
  open(segment: string): UploadSession | undefined
}

const VERSION = Buffer.from([1])
const NONCE_LENGTH = 12
const TAG_LENGTH = 16

/**
 * Seals upload sessions with AES-256-GCM (NIST SP 800-38D) under a key derived from `secret`. Replicas that share the
 * secret continue one another's uploads; without one, sessions end with the process.
 */
export function createUploadSessions(
  secret: Secret | undefined,
  now: () => number = Date.now,
): UploadSessions {
  const key =
    secret === undefined
      ? randomBytes(32)
      : createHash('sha256').update(`ecr-mirror upload session\0${secret.reveal()}`).digest()
  return {
    seal(session) {
      const nonce = randomBytes(NONCE_LENGTH)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(VERSION)
      const sealed = Buffer.concat([cipher.update(JSON.stringify(session)), cipher.final()])
      return Buffer.concat([VERSION, nonce, sealed, cipher.getAuthTag()]).toString('base64url')
    },
    open(segment) {
      const bytes = Buffer.from(segment, 'base64url')
      // Node reads base64url leniently; only the one canonical spelling counts.
      if (bytes[0] !== VERSION[0] || bytes.toString('base64url') !== segment) return undefined
      try {
        const nonce = bytes.subarray(1, 1 + NONCE_LENGTH)
        const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_LENGTH })
        decipher.setAAD(VERSION).setAuthTag(bytes.subarray(-TAG_LENGTH))
        const text = Buffer.concat([
          decipher.update(bytes.subarray(1 + NONCE_LENGTH, -TAG_LENGTH)),
          decipher.final(),
        ])
        const session = Session.parse(JSON.parse(text.toString()))
        return session.expires > now() ? session : undefined
      } catch {
        return undefined
      }
    },
  }
}
