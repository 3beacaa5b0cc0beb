import { passwordProblem } from '../access/password-hash.js'
import { userNameProblem } from '../access/users.js'
import { Secret } from '../secret.js'
import { ConfigError } from './config-error.js'
import type { PlainUser } from './schema.js'

/**
 * `name:password` pairs with commas or line ends between them, so that neither can be in a password.
 * Throws a ConfigError that names `source` and the entry's number, never its text.
 */
export function parsePlainUsers(text: string, source: string): PlainUser[] {
  const entries = text
    .split(/[,\r\n]+/)
    .map(entry => entry.trim())
    .filter(entry => entry !== '')
  const users = entries.map(entry => {
    const colon = entry.indexOf(':')
    return { name: entry.slice(0, Math.max(0, colon)), password: new Secret(entry.slice(colon + 1)) }
  })
  const wrong = users.flatMap((user, index) => {
    const fault = faultOf(user)
    return fault === undefined
      ? []
      : [`${source}: user ${index + 1}: ${fault}; expected name:password, with no comma in either`]
  })
  if (users.length === 0) wrong.push(`${source}: found no user, expected name:password,name:password`)
  if (wrong.length > 0) throw new ConfigError(wrong)
  return users
}

function faultOf({ name, password }: PlainUser): string | undefined {
  if (name === '') return 'found no name'
  return userNameProblem(name) ?? passwordProblem(password.reveal())?.replace(/\.$/, '')
}
