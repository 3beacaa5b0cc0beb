import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import { ConfigError } from './config/config-error.js'
import type { TlsConfig } from './config/schema.js'

/** The certificates to serve with, read and ready. */
export interface Certificates {
  /** For clients that name no server, or one that no certificate is for. */
  readonly fallback: SecureContextOptions
  /** The certificate for a server name (RFC 6066, section 3). */
  forName(serverName: string): SecureContext
}

/** Reads certificates and keys. Throws a ConfigError that names the file at fault. */
export async function readCertificates(tls: readonly [TlsConfig, ...TlsConfig[]]): Promise<Certificates> {
  const [first, ...others] = tls
  const fallback = await read(first)
  const all = [fallback, ...(await Promise.all(others.map(read)))]
  return {
    fallback: fallback.options,
    forName: serverName =>
      (all.find(({ leaf }) => leaf.checkHost(serverName) !== undefined) ?? fallback).context,
  }
}

interface Certificate {
  readonly leaf: X509Certificate
  readonly options: SecureContextOptions
  readonly context: SecureContext
}

async function read({ certificate, key, clientCa }: TlsConfig): Promise<Certificate> {
  const [cert, privateKey, ca] = await Promise.all([
    pem(certificate),
    pem(key),
    clientCa === undefined ? undefined : pem(clientCa),
  ])
  try {
    const options = { cert, key: privateKey, ...(ca && { ca }), minVersion: 'TLSv1.2' } as const
    return { leaf: new X509Certificate(cert), options, context: createSecureContext(options) }
  } catch (cause) {
    throw new ConfigError(
      [
        `${certificate}: the certificate cannot be used with the key ${key}; check that both are PEM and belong together`,
      ],
      { cause },
    )
  }
}

function pem(file: string): Promise<Buffer> {
  return readFile(file).catch((cause: unknown) => {
    throw new ConfigError([`${file}: cannot be read`], { cause })
  })
}
