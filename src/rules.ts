import { readFile } from 'node:fs/promises'
import { createAddressSet } from './access/address-set.js'
import { parseHtpasswd } from './access/htpasswd.js'
import type { Logins } from './access/logins.js'
import { hashPlainUsers } from './access/plain-users.js'
import { createPasswordCheck } from './access/password-check.js'
import { createPolicy } from './access/policy.js'
import { mergeUsers, type Users } from './access/users.js'
import type { Certificates } from './certificates.js'
import { clientCertificateName } from './client-certificate.js'
import { ConfigError } from './config/config-error.js'
import { hiddenNames } from './config/hidden-names.js'
import type { Config } from './config/schema.js'
import type { Rules } from './registry/exchange.js'
import { createUpstream, type Upstream, type UpstreamDeps } from './upstream/upstream.js'
import { createUpstreamTable } from './upstream/upstream-table.js'

/** What a configuration says about requests, made ready; `warnings` are for the log. */
export interface MadeRules {
  readonly rules: Rules
  readonly upstreams: readonly Upstream[]
  readonly warnings: readonly string[]
}

/**
 * Makes rules of a configuration and the certificates read for it; `logins` is what was found out about logins under
 * those before. Throws a ConfigError when the users file cannot be used; then nothing of what was made is left.
 */
export async function makeRules(
  config: Config,
  deps: UpstreamDeps,
  logins: Logins,
  certificates: Certificates | undefined,
): Promise<MadeRules> {
  const { users, warnings } = await readUsers(config)
  const passwords = createPasswordCheck(users, logins)
  const policy = createPolicy(config.policy)
  const trustedProxies = createAddressSet(config.trustedProxies)
  const upstreams: Upstream[] = []
  try {
    const connections = { connections: config.limits.maxUpstreamConnections, ...deps.connections }
    for (const settings of config.upstreams)
      upstreams.push(createUpstream(settings, { ...deps, connections }))
    const rules: Rules = {
      hasUsers: users.size > 0,
      passwords,
      policy,
      upstreams: createUpstreamTable(upstreams),
      trustedProxies,
      certificateName: socket => clientCertificateName(socket, certificates),
    }
    return { rules, upstreams, warnings: [...hiddenNames(config), ...warnings] }
  } catch (error) {
    await closeAll(upstreams)
    throw error
  }
}

/** Closes upstreams that no request goes by. */
export async function closeAll(upstreams: readonly Upstream[]): Promise<void> {
  await Promise.all(upstreams.map(upstream => upstream.close()))
}

/** Everybody who can log in, with warnings for the log. Throws a ConfigError when the users file cannot be used. */
export async function readUsers(
  config: Config,
): Promise<{ readonly users: Users; readonly warnings: readonly string[] }> {
  const { htpasswd } = config.users
  const plain = await hashPlainUsers(config.users.plain)
  if (htpasswd === undefined) return { users: plain, warnings: [] }
  const text = await readFile(htpasswd, 'utf8').catch((cause: unknown) => {
    throw new ConfigError(
      [`${htpasswd}: the users file cannot be read; create it with: ecr-mirror hash-password NAME`],
      { cause },
    )
  })
  const file = parseHtpasswd(text, htpasswd)
  if ('problems' in file) throw new ConfigError(file.problems)
  return { users: mergeUsers(file.users, plain), warnings: file.warnings }
}
