import type { ClientFile, MirrorForClients } from './client.js'
import { isPlainHttp } from './mirror-name.js'

/**
 * The file with the authority to trust for a host name, for clients that take such a file without being told of it.
 * Where the authority is not known, it says what to put there. None for plain HTTP.
 */
export function authorityFile(mirror: MirrorForClients, hostName: string, path: string): ClientFile[] {
  if (isPlainHttp(mirror)) return []
  const content =
    mirror.authorityFor(hostName) ??
    `\
# Put here, in PEM, the certificate of the authority that signed the mirror's certificate for ${hostName}.
# An authority that this machine trusts already needs no such file.
`
  return [{ path, content, secret: false }]
}

/** The same for clients that must be told of the file, and fail when there is nothing in it: none when not known. */
export function knownAuthorityFile(mirror: MirrorForClients, hostName: string, path: string): ClientFile[] {
  return mirror.authorityFor(hostName) === undefined ? [] : authorityFile(mirror, hostName, path)
}
