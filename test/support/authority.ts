import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A certificate with its key, as files and as text. */
export interface IssuedCertificate {
  readonly certificate: string
  readonly key: string
  readonly cert: string
  readonly keyText: string
}

export interface IssueOptions {
  /** As openssl writes it, such as `/CN=agent`. */
  readonly subject?: string
  /** Who signs it; left out: itself. */
  readonly by?: IssuedCertificate
  /** Lines of an openssl extension section; an authority's by default where nobody signs it, else a client's. */
  readonly extensions?: readonly string[]
  /** How long it is valid from now on; negative: it has expired. */
  readonly days?: number
}

const AUTHORITY = ['basicConstraints=critical,CA:true', 'keyUsage=critical,keyCertSign,cRLSign']
const CLIENT = ['basicConstraints=critical,CA:false', 'extendedKeyUsage=clientAuth']

/** Makes a certificate, in a directory that the test removes. Needs openssl. */
export function issue(
  directory: string,
  file: string,
  { subject = `/CN=${file}`, by, extensions = by ? CLIENT : AUTHORITY, days = 2 }: IssueOptions = {},
): IssuedCertificate {
  const [key, request, section, certificate] = ['key', 'csr', 'ext', 'crt'].map(ending =>
    join(directory, `${file}.${ending}`),
  ) as [string, string, string, string]
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'ignore' })
  writeFileSync(section, extensions.join('\n'))
  openssl(
    ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-utf8'],
    ...['-keyout', key, '-out', request, '-subj', subject],
  )
  openssl(
    ...['x509', '-req', '-in', request, '-extfile', section, '-days', String(days), '-out', certificate],
    ...(by ? ['-CA', by.certificate, '-CAkey', by.key, '-CAcreateserial'] : ['-signkey', key]),
  )
  return { certificate, key, cert: readFileSync(certificate, 'utf8'), keyText: readFileSync(key, 'utf8') }
}

/** An authority, or with `by` one that another vouches for. */
export function issueAuthority(directory: string, file: string, by?: IssuedCertificate): IssuedCertificate {
  return issue(directory, file, { ...(by && { by }), extensions: AUTHORITY })
}
