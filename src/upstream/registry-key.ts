import { createHash } from 'node:crypto'
import type { CredentialSettings } from './aws-client.js'

/** What of an upstream decides what can be learnt through it. */
export interface RegistryIdentity {
  readonly host: string
  readonly credentials?: CredentialSettings | undefined
}

/**
 * Names a registry as some credentials see it, for what is remembered of it: what one role was shown is no proof that
 * another may read it. Upstreams of one host with the same credentials see the same, whatever their names and prefixes.
 * It is the host, and where credentials are configured a digest of them behind a `#`, which no host has in it.
 */
export function registryKey({ host, credentials = {} }: RegistryIdentity): string {
  const { profile, roleArn, externalId, sessionName } = credentials
  const own = [profile, roleArn, externalId?.reveal(), sessionName]
  if (own.every(each => each === undefined)) return host.toLowerCase()
  const digest = createHash('sha256').update(JSON.stringify(own)).digest('hex')
  return `${host.toLowerCase()}#${digest.slice(0, 32)}`
}

/** The host in what `registryKey` gave, for people. */
export function hostInKey(key: string): string {
  return key.split('#')[0] ?? key
}
