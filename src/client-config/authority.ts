import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/**
 * Of certificates as servers show them, each followed by those that lead to its root, what a client has to trust for a
 * host name: the end of the first chain that is for the name. Undefined where none is, or where a chain consists of a
 * certificate that another one signed.
 */
export function authorityIn(chains: readonly string[], hostName: string): string | undefined {
  for (const chain of chains) {
    const certificates = (chain.match(CERTIFICATE) ?? []).map(parse).filter(each => each !== undefined)
    const [leaf] = certificates
    const end = certificates.at(-1)
    if (!leaf || !end || !isFor(leaf, hostName)) continue
    return certificates.length > 1 || end.checkIssued(end) ? end.toString() : undefined
  }
  return undefined
}

function parse(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem)
  } catch {
    return undefined
  }
}

function isFor(leaf: X509Certificate, hostName: string): boolean {
  const address = hostName.replace(/^\[|\]$/g, '')
  return (isIP(address) === 0 ? leaf.checkHost(hostName) : leaf.checkIP(address)) !== undefined
}
