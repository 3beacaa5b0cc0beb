import type { Config } from '../config/schema.js'
import { kindOfAddress } from '../upstream/address.js'
import { isIP } from 'node:net'
import { ok, warning, type Finding } from './finding.js'

const NAME = 'passwords on the way'

/** Whether passwords cross a network readable. */
export function checkPasswordsOnTheWay({ listen, tls, publicUrl, users }: Config): Finding {
  if (tls.length > 0) return ok(NAME, 'clients connect by TLS')
  if (users.htpasswd === undefined && users.plain.length === 0) return ok(NAME, 'nobody has one')
  const open = listen.filter(({ host }) => !isLoopback(host))
  if (open.length === 0) return ok(NAME, 'plain HTTP, on the loopback only')
  if (publicUrl?.startsWith('https://')) return ok(NAME, `plain HTTP behind ${publicUrl}, where TLS ends`)
  return warning(
    NAME,
    `plain HTTP on ${open.map(({ host, port }) => `${host}:${port}`).join(' and ')}: whoever listens in reads passwords, and Docker refuses it from other machines`,
    'set tls, or listen on 127.0.0.1 behind a proxy that ends TLS and name its URL as publicUrl (README, TLS and reverse proxies)',
  )
}

function isLoopback(host: string): boolean {
  return isIP(host) === 0 ? host === 'localhost' : kindOfAddress(host) === 'loopback'
}
