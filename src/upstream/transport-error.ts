import { OciError } from '../oci/error.js'
import { AddressRefused } from './egress.js'
import type { EcrAction } from './ecr-action.js'

/** No connection, or one that broke off before any answer. */
export class ConnectionFailure extends OciError {
  /** Whether the request may have reached the upstream. */
  readonly sent: boolean

  constructor(message: string, sent: boolean, cause: unknown) {
    super('UNKNOWN', message, { status: 502, cause })
    this.sent = sent
  }
}

const NEVER_CONNECTED = [
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
]
const BROKE_OFF = ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']
const TOO_SLOW = ['UND_ERR_BODY_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT']

/**
 * What undici's failure of a request means to a client. `place` is what was to answer, in the operator's words and
 * not by its address.
 */
export function connectionError(error: unknown, place: string, action?: EcrAction): OciError {
  if (error instanceof OciError) return error
  const code = codeOf(error)
  if (error instanceof AddressRefused) {
    return new OciError(
      'UNKNOWN',
      `ecr-mirror does not connect to where the host name of ${place} leads: an internal address. If that is meant, ` +
        'its operator has to name it as endpoint or in redirectHosts.',
      { status: 502, cause: error },
    )
  }
  if (NEVER_CONNECTED.includes(code)) {
    return new ConnectionFailure(
      `ecr-mirror cannot reach ${place}; its operator has to check the network, DNS, proxy and VPC endpoint.`,
      false,
      error,
    )
  }
  if (BROKE_OFF.includes(code)) {
    const hint =
      action === 'InitiateLayerUpload'
        ? 'ECR does so when the repository does not exist: create it first.'
        : 'Try again.'
    return new ConnectionFailure(
      `${capitalized(place)} closed the connection to ecr-mirror without an answer. ${hint}`,
      true,
      error,
    )
  }
  if (TOO_SLOW.includes(code)) {
    return new OciError('UNKNOWN', `${capitalized(place)} did not answer ecr-mirror in time; try again.`, {
      status: 504,
      retryAfter: 1,
      cause: error,
    })
  }
  if (/CERT|UNABLE_TO_VERIFY|^ERR_(?:TLS|SSL)/.test(code)) {
    return new OciError(
      'UNKNOWN',
      `ecr-mirror does not trust the TLS certificate of ${place}; its operator has to check the ` +
        'endpoint, or give NODE_EXTRA_CA_CERTS.',
      { status: 502, cause: error },
    )
  }
  return new OciError('UNKNOWN', `The request of ecr-mirror to ${place} failed; its log says why.`, {
    status: 502,
    cause: error,
  })
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error)) return ''
  return typeof error.code === 'string' ? error.code : ''
}
