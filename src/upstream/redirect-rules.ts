import type { Trust } from './egress.js'

/** Where blobs may be redirected to. */
export interface RedirectRules {
  allows(url: URL): boolean
  trustOf(host: string, port: number): Trust
}

interface Entry {
  readonly host: RegExp
  /** Undefined for https on its own port. */
  readonly port: number | undefined
  readonly trust: Trust
}

/**
 * Rules from the operator's entries, `host` or `host:port` with `*` for one label part, or else from `defaults`.
 * Without a port an entry allows https on port 443 only; with one also http, and exactly that port.
 */
export function createRedirectRules(
  listed: readonly string[] | undefined,
  defaults: readonly string[] = [],
): RedirectRules {
  const entries = listed
    ? listed.map(text => parseEntry(text, text.includes('*') ? 'private' : 'listed'))
    : defaults.map(text => parseEntry(text, 'private'))

  const entryFor = (host: string, port: number): Entry | undefined =>
    entries.find(entry => entry.host.test(host) && (entry.port ?? 443) === port)

  return {
    allows(url) {
      const secure = url.protocol === 'https:'
      if ((!secure && url.protocol !== 'http:') || url.username !== '' || url.password !== '') return false
      const entry = entryFor(url.hostname, portOf(url))
      return entry !== undefined && (secure || entry.port !== undefined)
    },
    trustOf: (host, port) => entryFor(host.includes(':') ? `[${host}]` : host, port)?.trust ?? 'public',
  }
}

function parseEntry(text: string, trust: Trust): Entry {
  const [end = '', port] = /:(\d{1,5})$/.exec(text) ?? []
  const host = text.slice(0, text.length - end.length).toLowerCase()
  const labels = host.split('*').map(part => part.replace(/[^a-z0-9_-]/g, '\\$&'))
  return {
    host: new RegExp(`^${labels.join('[a-z0-9_-]*')}$`),
    port: port === undefined ? undefined : Number(port),
    trust,
  }
}

function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port)
  return url.protocol === 'https:' ? 443 : 80
}
