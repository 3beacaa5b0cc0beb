import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { authorityIn } from '../../src/client-config/authority.js'
import { makeCertificate } from '../support/certificate.js'

const directory = t.testdir()
const alone = makeCertificate(directory, 'mirror.test')
const byAddress = makeCertificate(directory, '10.0.0.7')
const authority = makeCertificate(directory, 'authority')
const signed = signedBy('signed.test')

t.test('a certificate that signed itself is its own authority', t => {
  t.equal(authorityIn([alone.pem], 'mirror.test'), alone.pem)
  t.equal(authorityIn([byAddress.pem], '10.0.0.7'), byAddress.pem, 'for an address too')
  t.end()
})

t.test('the end of a chain is the authority', t => {
  t.equal(authorityIn([`Some text\n${signed}${authority.pem}`], 'signed.test'), authority.pem)
  t.end()
})

t.test('of several certificates the one for the name counts', t => {
  t.equal(authorityIn([alone.pem, signed + authority.pem], 'signed.test'), authority.pem)
  t.equal(authorityIn([alone.pem], 'other.test'), undefined, 'and no other')
  t.end()
})

t.test('nothing is known of who signed a certificate that comes alone', t => {
  t.equal(authorityIn([signed], 'signed.test'), undefined)
  t.end()
})

t.test('what is no certificate is passed over', t => {
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
  t.equal(authorityIn(['', broken, alone.pem], 'mirror.test'), alone.pem)
  t.end()
})

function signedBy(name: string): string {
  const [key, request, certificate] = ['key', 'csr', 'crt'].map(ending =>
    join(directory, `signed.${ending}`),
  ) as [string, string, string]
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'ignore' })
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl('req', ...curve, '-keyout', key, '-out', request, '-subj', `/CN=${name}`)
  openssl(
    ...['x509', '-req', '-in', request, '-CA', authority.certificate, '-CAkey', authority.key],
    ...['-CAcreateserial', '-days', '2', '-out', certificate],
  )
  return readFileSync(certificate, 'utf8')
}
