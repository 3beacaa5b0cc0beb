import type { X509Certificate } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { Certificates } from './certificates.js'

/** As many of the certificates that a client sends after its own are looked at. */
const MAX_INTERMEDIATES = 8

/** A common name that can be told and granted: RFC 5280 bounds it at 64 characters, some authorities do not. */
const NAME = /^[^\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]{1,256}$/u

interface Verified {
  readonly authorities: readonly X509Certificate[]
  readonly name: string | undefined
  /** Until when, in milliseconds since 1970. */
  readonly until: number
}

/** What was found out about a connection, whose certificate does not change. */
const verified = new WeakMap<TLSSocket, Verified>()

/**
 * Who a certificate makes the client at the other end of a connection: its common name, where it leads to an authority
 * that the certificates in force have for the connection's server name; undefined for everybody else. Only this
 * function decides it. OpenSSL has verified the certificate in the handshake, with dates, purpose and constraints
 * (RFC 5280, section 6); that it did so for an authority that still counts is looked at here, so that a reload
 * holds for open connections too. Revocation lists are not looked at. `now` is in milliseconds since 1970.
 */
export function clientCertificateName(
  socket: Duplex,
  certificates: Certificates | undefined,
  now = Date.now(),
): string | undefined {
  if (!certificates || !(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const authorities = certificates.clientAuthorities(socket.servername || undefined)
  const known = verified.get(socket)
  const verdict = known?.authorities === authorities ? known : verify(socket, authorities)
  verified.set(socket, verdict)
  return now <= verdict.until ? verdict.name : undefined
}

function verify(socket: TLSSocket, authorities: readonly X509Certificate[]): Verified {
  const nobody = { authorities, name: undefined, until: Infinity }
  const leaf = socket.getPeerX509Certificate()
  // Node calls who resumes a session without any certificate authorized.
  if (!leaf || socket.isSessionReused()) return nobody
  const path = pathFrom(leaf, authorities)
  // A list where there are several.
  const name: unknown = leaf.toLegacyObject().subject.CN
  if (!path || typeof name !== 'string' || !NAME.test(name)) return nobody
  return { authorities, name, until: Math.min(...path.map(({ validTo }) => Date.parse(validTo))) }
}

/** The certificates from a client's own to an authority; undefined when it leads to none of them. */
function pathFrom(
  leaf: X509Certificate,
  authorities: readonly X509Certificate[],
): X509Certificate[] | undefined {
  const intermediates: X509Certificate[] = []
  for (let sent = leaf.issuerCertificate; sent && intermediates.length < MAX_INTERMEDIATES;) {
    if (sent.ca) intermediates.push(sent)
    sent = sent.issuerCertificate
  }
  const path = [leaf]
  for (let last: X509Certificate | undefined = leaf; last;) {
    const current: X509Certificate = last
    const authority = authorities.find(each => isSame(current, each) || isIssuedBy(current, each))
    if (authority) return [...path, authority]
    last = intermediates.find(each => !path.includes(each) && isIssuedBy(current, each))
    if (last) path.push(last)
  }
  return undefined
}

function isSame(one: X509Certificate, other: X509Certificate): boolean {
  return one.fingerprint256 === other.fingerprint256
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}
