import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { readCertificates } from '../src/certificates.js'
import { ConfigError } from '../src/config/config-error.js'
import { makeCertificate } from './support/certificate.js'

const directory = t.testdir({ 'not.crt': 'no certificate' })
const [one, two] = [makeCertificate(directory, 'one.test'), makeCertificate(directory, '*.two.test', 'two')]

t.test('a server name gets its certificate, wildcards included, and any other the first', async t => {
  const certificates = await readCertificates([one, two])
  const [first, second] = [certificates.forName('one.test'), certificates.forName('mirror.two.test')]
  t.not(first, second)
  t.equal(certificates.forName('other.two.test'), second)
  t.equal(certificates.forName('deep.mirror.two.test'), first, 'a wildcard is one label')
  t.equal(certificates.forName('elsewhere.test'), first)
  const { cert = '' } = certificates.fallback
  t.equal(new X509Certificate(String(cert)).subject, 'CN=one.test', 'as is who names no server')
})

t.test('files that cannot be used are refused by name', async t => {
  const rows: [string, { certificate: string; key: string; clientCa?: string }, RegExp][] = [
    ['a missing certificate', { ...one, certificate: `${directory}/none.crt` }, /none\.crt: cannot be read/],
    ['a missing key', { ...one, key: `${directory}/none.key` }, /none\.key: cannot be read/],
    ['a missing clientCa', { ...one, clientCa: `${directory}/none.ca` }, /none\.ca: cannot be read/],
    [
      'no certificate',
      { ...one, certificate: `${directory}/not.crt` },
      /not\.crt: the certificate cannot be used/,
    ],
    ["another's key", { ...one, key: two.key }, /one\.test\.crt: .*two\.key; check that both are PEM/],
  ]
  for (const [what, files, message] of rows) {
    const error: unknown = await readCertificates([two, files]).catch((refusal: unknown) => refusal)
    t.ok(error instanceof ConfigError, what)
    t.match(error instanceof ConfigError ? error.lines.join() : '', message)
  }
})
