import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Makes a certificate for a host name, signed by itself, that was valid in January 2020, in a directory of its own. */
export function makeExpiredCertificate(
  directory: string,
  hostName: string,
): { certificate: string; key: string } {
  const at = (name: string): string => join(directory, name)
  const [key, certificate] = [at('expired.key'), at('expired.crt')]
  const run = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'ignore' })
  writeFileSync(at('index.txt'), '')
  writeFileSync(
    at('ca.cnf'),
    [
      '[ca]\ndefault_ca = own',
      `[own]\ndatabase = ${at('index.txt')}\nnew_certs_dir = ${directory}\nrand_serial = yes`,
      'default_md = sha256\npolicy = any',
      '[any]\ncommonName = supplied',
      `[names]\nsubjectAltName = DNS:${hostName}`,
    ].join('\n'),
  )
  run(
    ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
    ...['-keyout', key, '-out', at('expired.csr'), '-subj', `/CN=${hostName}`],
  )
  run(
    ...['ca', '-selfsign', '-batch', '-notext', '-config', at('ca.cnf'), '-in', at('expired.csr')],
    ...['-keyfile', key, '-out', certificate, '-extensions', 'names'],
    ...['-startdate', '20200101000000Z', '-enddate', '20200131000000Z'],
  )
  return { certificate, key }
}
