import { ConfigError } from '../config/config-error.js'
import type { Config } from '../config/schema.js'
import { readUsers } from '../rules.js'
import { failed, ok, warning, type Finding } from './finding.js'

const NAME = 'users'

/** Who can log in. `nobody` is why the configuration by itself lets nobody in. */
export async function checkUsers(config: Config, nobody: readonly string[]): Promise<Finding[]> {
  if (nobody.length > 0)
    return nobody.map(line => failed(NAME, line, 'add one; the mirror does not start without'))
  try {
    const { users, warnings } = await readUsers(config)
    const weak = warnings.map(line => warning(NAME, line, 'the password may stay the same'))
    return [count(users.size, config), ...weak]
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.lines.map(line => failed(NAME, line, 'mend it; the mirror does not start with it'))
  }
}

function count(number: number, { users: { htpasswd, plain }, policy }: Config): Finding {
  const from = [
    ...(htpasswd === undefined ? [] : [htpasswd]),
    ...(plain.length === 0 ? [] : ['ECR_MIRROR_USERS']),
  ].join(' and ')
  if (number > 0) return ok(NAME, `${number} can log in (${from})`)
  const others = (policy ?? []).some(({ principals }) =>
    principals.some(principal => principal === 'anonymous' || principal.startsWith('cert:')),
  )
  if (others) return ok(NAME, 'nobody logs in with a password; grants name anonymous or certificates')
  return failed(
    NAME,
    `${from} has no users, so nobody can log in`,
    `add one: ecr-mirror hash-password NAME >> ${htpasswd ?? 'users.htpasswd'}`,
  )
}
