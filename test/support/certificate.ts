import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'

/** A certificate signed by itself, as files and as text. */
export interface TestCertificate {
  readonly certificate: string
  readonly key: string
  readonly pem: string
}

/** Makes a certificate for a host name or an address, in a directory that the test removes, valid for `days`. */
export function makeCertificate(
  directory: string,
  hostName: string,
  file = hostName,
  days = 2,
): TestCertificate {
  return makeSharedCertificate(directory, [hostName], file, days)
}

/** The same for several names; a `*` stands for one label. */
export function makeSharedCertificate(
  directory: string,
  hostNames: readonly [string, ...string[]],
  file: string,
  days = 2,
): TestCertificate {
  const [key, certificate] = [join(directory, `${file}.key`), join(directory, `${file}.crt`)]
  execFileSync(
    'openssl',
    [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        String(days),
      ],
      ...['-keyout', key, '-out', certificate, '-subj', `/CN=${hostNames[0]}`],
      ...['-addext', `subjectAltName=${hostNames.map(alternative).join(',')}`],
    ],
    { stdio: 'ignore' },
  )
  return { certificate, key, pem: readFileSync(certificate, 'utf8') }
}

function alternative(hostName: string): string {
  return `${isIP(hostName) === 0 ? 'DNS' : 'IP'}:${hostName}`
}
