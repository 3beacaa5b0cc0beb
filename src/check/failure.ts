import { AddressRefused } from '../upstream/egress.js'
import { OutOfTime } from './out-of-time.js'

/** Why nothing came back over the network. `other` is anything else. */
export type FailureKind =
  'dns' | 'refused' | 'slow' | 'broken' | 'certificate' | 'no-tls' | 'internal' | 'proxy' | 'other'

export interface Failure {
  readonly kind: FailureKind
  /** The system's words. */
  readonly detail: string
}

const BY_CODE: Readonly<Record<string, FailureKind>> = {
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'slow',
  ENETUNREACH: 'slow',
  ETIMEDOUT: 'slow',
  UND_ERR_CONNECT_TIMEOUT: 'slow',
  UND_ERR_HEADERS_TIMEOUT: 'slow',
  UND_ERR_BODY_TIMEOUT: 'slow',
  ECONNRESET: 'broken',
  EPIPE: 'broken',
  UND_ERR_SOCKET: 'broken',
  EPROTO: 'no-tls',
  ERR_SSL_WRONG_VERSION_NUMBER: 'no-tls',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'no-tls',
}

/** Names of errors that the AWS SDK gives for the same. */
const BY_NAME: Readonly<Record<string, FailureKind>> = {
  AbortError: 'slow',
  TimeoutError: 'slow',
  RequestTimeout: 'slow',
}

/** Those of OpenSSL's verification, of which not all have CERT in them. */
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_|^ERR_TLS/

/** What kept an answer from coming, from whatever error says so itself or by its cause. */
export function failureOf(error: unknown): Failure {
  for (let each: unknown = error, depth = 0; each instanceof Error && depth < 5; each = each.cause, depth++) {
    const kind = kindOf(each)
    if (kind) return { kind, detail: wordsOf(each) }
  }
  return { kind: 'other', detail: wordsOf(error) }
}

function kindOf(error: Error): FailureKind | undefined {
  if (error instanceof OutOfTime) return 'slow'
  if (error instanceof AddressRefused) return 'internal'
  // undici says so with the error of a request that was given up.
  if (/^Proxy response/.test(error.message)) return 'proxy'
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return BY_CODE[code] ?? BY_NAME[error.name] ?? (CERTIFICATE.test(code) ? 'certificate' : undefined)
}

const LONGEST = 300

/** An error's own words, cut where they become a story. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error).slice(0, LONGEST)
  // Of several addresses that were tried, each has its own error, and the whole has no words.
  const several = error instanceof AggregateError ? error.errors : []
  const words = error.message === '' ? several.map(wordsOf).join('; ') : error.message
  // What the AWS SDK adds for its own users is on lines of its own.
  const [first = ''] = words.split('\n')
  return (first === '' ? error.name : first).slice(0, LONGEST)
}
