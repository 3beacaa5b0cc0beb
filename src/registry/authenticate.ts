import type { FastifyRequest } from 'fastify'
import { parseBasicCredentials, type BasicCredentials } from '../access/basic-credentials.js'
import { AGAIN_SECONDS, HELD_SECONDS } from '../access/logins.js'
import { networkOf } from '../access/network-of.js'
import type { Verdict } from '../access/password-check.js'
import { ANONYMOUS, type Principal } from '../access/policy.js'
import { OciError } from '../oci/error.js'
import type { Exchange } from './exchange.js'

/** The mirror's one challenge; an upstream's own never gets here (RFC 7617). */
const CHALLENGE = { 'www-authenticate': 'Basic realm="ecr-mirror"' } as const

/**
 * Who asks. `anonymousMay` says whether nobody in particular may have what is asked: then missing credentials, and
 * those of users the mirror does not know (dockerd sends Docker Hub's to a registry mirror), are nobody's.
 * Throws 401 or 429.
 */
export async function authenticate(
  request: FastifyRequest,
  exchange: Exchange,
  anonymousMay: boolean,
): Promise<Principal> {
  const { passwords } = exchange.rules
  const credentials = parseBasicCredentials(request.headers.authorization)
  if (!credentials) {
    const certified = exchange.rules.certificateName(request.raw.socket)
    if (certified !== undefined) return { kind: 'certificate', name: certified }
    if (anonymousMay) return ANONYMOUS
    throw unauthorized('Log in to this mirror first: docker login <mirror>.')
  }
  if (anonymousMay && !passwords.knows(credentials.user)) return ANONYMOUS

  const { user, password } = credentials
  const verdict = passwords.remembers(user, password)
    ? 'good'
    : await lookUp(exchange, { user, password }, exchange.address ?? request.socket.remoteAddress)
  exchange.login = verdict
  // Who is to come again has not been looked at.
  if (verdict === 'bad' || verdict === 'held')
    exchange.refusedLogin = { user: passwords.knows(user) ? user : undefined }
  switch (verdict) {
    case 'good':
      return { kind: 'user', name: user }
    case 'bad':
      throw unauthorized('The mirror does not accept this user name and password.')
    case 'held':
      throw new OciError('TOOMANYREQUESTS', 'Too many refused logins of this user; wait a minute.', {
        retryAfter: HELD_SECONDS,
      })
    case 'again':
      throw new OciError('TOOMANYREQUESTS', 'The mirror has too many logins to check; try again.', {
        retryAfter: AGAIN_SECONDS,
      })
  }
}

/** Whoever waits for a password to be hashed is a stranger until then. Throws 503 when there are too many of those. */
async function lookUp(
  { rules, share }: Exchange,
  { user, password }: BasicCredentials,
  address: string | undefined,
): Promise<Verdict> {
  share.admit({ network: networkOf(address ?? '') })
  try {
    return await rules.passwords.check(user, password, address)
  } finally {
    share.leave()
  }
}

/** The challenge, with what the person at the other end should do. */
export function unauthorized(message: string): OciError {
  return new OciError('UNAUTHORIZED', message, { headers: CHALLENGE })
}
