/**
 * Where clients find the mirror, for somebody who reached its operations port by this Host header: the same machine, at
 * a port for clients. Of a header that names no host, the mirror's own address stands.
 */
export function mirrorUrl(
  host: string | undefined,
  [own = 'http://localhost:5000']: readonly string[],
): string {
  const url = new URL(own)
  const asked = host === undefined || !/^[a-z0-9.:[\]-]+$/i.test(host) ? undefined : `http://${host}`
  if (asked !== undefined && URL.canParse(asked)) url.hostname = new URL(asked).hostname
  return url.origin
}
