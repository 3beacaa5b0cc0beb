import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { basename } from 'node:path'
import { readCertificates } from '../certificates.js'
import type { Config, TlsConfig } from '../config/schema.js'
import { wordsOf } from './failure.js'
import { failed, ok, skipped, warning, type Finding } from './finding.js'

const DAY = 24 * 3_600_000
/** What is left less than this, in milliseconds, is worth a warning. */
const SOON = 21 * DAY

/** Whether the certificates can be served with, until when, and for which names. Times are compared with `now`. */
export async function checkCertificates(config: Config, now: number = Date.now()): Promise<Finding[]> {
  if (config.tls.length === 0)
    return [skipped('certificates', 'there is no tls; the mirror speaks plain HTTP')]
  const checked = await Promise.all(config.tls.map(tls => checkOne(tls, now)))
  const leaves = checked.flatMap(({ leaf }) => leaf ?? [])
  const names = leaves.length === config.tls.length ? coverage(leaves, config) : []
  return [...checked.flatMap(({ findings }) => findings), ...names]
}

interface Checked {
  readonly findings: readonly Finding[]
  readonly leaf: X509Certificate | undefined
}

async function checkOne(tls: TlsConfig, now: number): Promise<Checked> {
  const name = `certificate ${basename(tls.certificate)}`
  const [certificate, key, authority] = await Promise.all([
    parse(name, tls.certificate, text => new X509Certificate(text)),
    parse(name, tls.key, text => createPrivateKey(text)),
    tls.clientCa === undefined ? [] : checkAuthorities(tls.clientCa, now),
  ])
  const unread = [certificate, key].filter(each => 'advice' in each)
  if ('advice' in certificate || 'advice' in key)
    return { findings: [...unread, ...authority], leaf: undefined }
  const mismatch = await checkPair(name, tls, certificate, key)
  const own = mismatch ?? validity(name, certificate, now)
  return { findings: [own, ...authority], leaf: certificate }
}

async function parse<T extends object>(
  name: string,
  file: string,
  read: (text: Buffer) => T,
): Promise<T | (Finding & { readonly advice: string })> {
  const advice = 'give a PEM file that the user the mirror runs as can read'
  try {
    return read(await readFile(file))
  } catch (error) {
    return { name, result: 'failed', detail: `${file} cannot be used: ${wordsOf(error)}`, advice }
  }
}

async function checkPair(
  name: string,
  tls: TlsConfig,
  certificate: X509Certificate,
  key: KeyObject,
): Promise<Finding | undefined> {
  if (!certificate.checkPrivateKey(key))
    return failed(
      name,
      `the key ${tls.key} does not belong to the certificate ${tls.certificate}`,
      "give the key that the certificate was made with; the first certificate in the file has to be the server's own",
    )
  return readCertificates([tls]).then(
    () => undefined,
    (error: unknown) =>
      failed(name, wordsOf(error), 'give PEM files that OpenSSL takes; the log of a start says more'),
  )
}

function validity(name: string, certificate: X509Certificate, now: number): Finding {
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)]
  const names = namesIn(certificate).join(', ')
  const about = names === '' ? 'without any name' : `for ${names}`
  if (now > to)
    return failed(
      name,
      `expired on ${day(to)} (${about})`,
      'renew it; the mirror takes the new files over by itself',
    )
  if (now < from)
    return failed(name, `not valid before ${day(from)} (${about})`, 'wait, or look at the clock')
  if (names === '')
    return warning(
      name,
      `names no host (subjectAltName), so that no client accepts it`,
      'make one that names the hosts of the mirror',
    )
  if (to - now < SOON)
    return warning(
      name,
      `expires on ${day(to)}, in ${Math.floor((to - now) / DAY)} days (${about})`,
      'renew it; the mirror takes the new files over by itself',
    )
  return ok(name, `${about}, until ${day(to)}`)
}

/** DNS names and addresses, as they are written there. */
function namesIn({ subjectAltName }: X509Certificate): string[] {
  return (subjectAltName ?? '').split(', ').flatMap(each => /^(?:DNS|IP Address):(.+)$/.exec(each)?.[1] ?? [])
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

async function checkAuthorities(file: string, now: number): Promise<Finding[]> {
  const name = `client authorities ${basename(file)}`
  const read = await parse(name, file, text => {
    const blocks = text.toString('latin1').match(PEM) ?? []
    if (blocks.length === 0) throw new Error('there is no PEM certificate in it')
    return blocks.map(block => new X509Certificate(block))
  })
  if ('advice' in read) return [read]
  const expired = read.filter(({ validTo }) => Date.parse(validTo) < now)
  if (expired.length === 0) return [ok(name, `${read.length} in it`)]
  return [
    warning(
      name,
      `${expired.length} of ${read.length} have expired: ${expired.map(({ subject }) => subject).join('; ')}`,
      'renew them; certificates by them are not accepted',
    ),
  ]
}

/** Whether the names by which clients may connect are in any certificate. */
function coverage(leaves: readonly X509Certificate[], { publicUrl, upstreams }: Config): Finding[] {
  const name = 'certificate names'
  const covered = (host: string): boolean =>
    leaves.some(leaf => (isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) !== undefined)
  const own = publicUrl === undefined ? [] : [hostOf(publicUrl)]
  const served = [
    ...new Set(upstreams.flatMap(({ serves }) => serves.map(each => each.replace(/:\d+$/, '')))),
  ]
  const missing = own.filter(host => !covered(host))
  const unserved = served.filter(host => !covered(host))
  const direct = upstreams.map(({ host }) => host).filter(host => !covered(host))
  const aside =
    direct.length === 0
      ? ''
      : `; not for ${direct.join(', ')}, which matters only where those names lead here`
  if (missing.length > 0)
    return [
      warning(
        name,
        `no certificate is for ${missing.join(', ')}, the host of publicUrl`,
        'make one with that name, or correct publicUrl',
      ),
    ]
  if (unserved.length > 0)
    return [
      warning(
        name,
        `no certificate is for ${unserved.join(', ')} (serves)`,
        'nothing, if clients name them by ns= alone, as containerd does; where they connect under these names, make a certificate that has them',
      ),
    ]
  const what =
    own.length + served.length === 0
      ? 'neither publicUrl nor serves name a host'
      : `for ${[...own, ...served].join(', ')}`
  return [ok(name, `${what}${aside}`)]
}

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '')
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 'yyyy-mm-dd'.length)
}
