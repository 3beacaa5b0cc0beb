import { constants, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import { ConfigError } from './config/config-error.js'
import type { TlsConfig } from './config/schema.js'

/** The certificates to serve with, read and ready. */
export interface Certificates {
  /** For clients that name no server, or one that no certificate is for. */
  readonly fallback: SecureContextOptions
  /** Whether clients are asked for a certificate: when any entry has authorities for them. */
  readonly askClients: boolean
  /** The certificate for a server name (RFC 6066, section 3). */
  forName(serverName: string): SecureContext
  /**
   * The authorities whose client certificates count on connections to a server name, or to none; empty where no client
   * certificate does.
   */
  clientAuthorities(serverName: string | undefined): readonly X509Certificate[]
}

/** Reads certificates and keys. Throws a ConfigError that names the file at fault. */
export async function readCertificates(tls: readonly [TlsConfig, ...TlsConfig[]]): Promise<Certificates> {
  const [first, ...others] = tls
  const fallback = await read(first)
  const all = [fallback, ...(await Promise.all(others.map(read)))]
  const entryFor = (serverName: string | undefined): Certificate =>
    (serverName !== undefined && all.find(({ leaf }) => leaf.checkHost(serverName) !== undefined)) || fallback
  const askClients = all.some(({ authorities }) => authorities.length > 0)
  return {
    fallback: { ...fallback.options, secureOptions: secureOptions(askClients) },
    askClients,
    forName: serverName => entryFor(serverName).context,
    clientAuthorities: serverName => entryFor(serverName).authorities,
  }
}

/**
 * For all connections, whatever their server name: OpenSSL takes these from the context that a connection begins with.
 * A second handshake on a connection could show another certificate than the one that was verified. A session is
 * resumed before the entry for its server name is chosen, and stands for the certificate that it began with; where
 * client certificates count, each connection therefore has a full handshake (RFC 8446, sections 2.2 and 4.6.1;
 * without tickets nothing is left to resume, since Node keeps no sessions itself).
 */
function secureOptions(askClients: boolean): number {
  return constants.SSL_OP_NO_RENEGOTIATION | (askClients ? constants.SSL_OP_NO_TICKET : 0)
}

interface Certificate {
  readonly leaf: X509Certificate
  readonly authorities: readonly X509Certificate[]
  readonly options: SecureContextOptions
  readonly context: SecureContext
}

async function read({ certificate, key, clientCa }: TlsConfig): Promise<Certificate> {
  const [cert, privateKey, ca] = await Promise.all([
    pem(certificate),
    pem(key),
    clientCa === undefined ? undefined : pem(clientCa),
  ])
  const authorities = clientCa === undefined || ca === undefined ? [] : authoritiesIn(clientCa, ca)
  try {
    const options = {
      cert,
      key: privateKey,
      // Never left out: Node would take the public authorities that it trusts as a client.
      ca: authorities.map(authority => authority.toString()),
      minVersion: 'TLSv1.2',
    } as const
    return { leaf: new X509Certificate(cert), authorities, options, context: createSecureContext(options) }
  } catch (cause) {
    throw new ConfigError(
      [
        `${certificate}: the certificate cannot be used with the key ${key}; check that both are PEM and belong together`,
      ],
      { cause },
    )
  }
}

const PEM_CERTIFICATE = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[^-]+-----END \1-----/g

function authoritiesIn(file: string, text: Buffer): X509Certificate[] {
  try {
    const found = (text.toString('latin1').match(PEM_CERTIFICATE) ?? []).map(
      each => new X509Certificate(each),
    )
    if (found.length > 0) return found
  } catch (cause) {
    throw new ConfigError([`${file}: a certificate in it cannot be read`], { cause })
  }
  throw new ConfigError([`${file}: there is no PEM certificate in it`])
}

function pem(file: string): Promise<Buffer> {
  return readFile(file).catch((cause: unknown) => {
    throw new ConfigError([`${file}: cannot be read`], { cause })
  })
}
