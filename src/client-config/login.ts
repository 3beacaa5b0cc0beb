import type { MirrorForClients } from './client.js'

/** The value of an Authorization header (RFC 7617). */
export function basicAuthorization(mirror: MirrorForClients): string {
  return `Basic ${encoded(mirror)}`
}

/** Docker's credentials file, which podman, BuildKit and Kubernetes read as well. */
export function dockerAuths(mirror: MirrorForClients, registries: readonly string[]): string {
  const auth = encoded(mirror)
  return json({ auths: Object.fromEntries(registries.map(registry => [registry, { auth }])) })
}

/** JSON as a file has it. */
export function json(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}

function encoded({ user, password }: MirrorForClients): string {
  return Buffer.from(`${user}:${password}`).toString('base64')
}
