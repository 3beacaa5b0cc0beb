import { parsePasswordHash, type PasswordHash } from './password-hash.js'
import { userNameProblem, type UserProblems, type Users } from './users.js'

/** A users file that is right; its warnings, one line each, are for the log. */
export interface HtpasswdFile {
  readonly users: Users
  readonly warnings: readonly string[]
}

const REMEDY = 'put there what this prints: ecr-mirror hash-password NAME'

/**
 * Reads the text of an htpasswd file: `name:hash` a line, blank lines and lines that begin with `#` aside.
 * An empty file means that nobody can log in. Either all of it is right or none of it counts.
 * `file` is the name for messages, which tell line and cause but nothing that stands in the line.
 */
export function parseHtpasswd(text: string, file: string): HtpasswdFile | UserProblems {
  const users = new Map<string, PasswordHash[]>()
  const warnings: string[] = []
  const problems: string[] = []
  for (const [index, raw] of text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\n|\r/)
    .entries()) {
    const line = raw.trim()
    const place = `${file}:${index + 1}`
    if (line === '' || line.startsWith('#')) continue
    const colon = line.indexOf(':')
    if (colon < 0) {
      problems.push(`${place}: expected name:hash, found no colon; ${REMEDY}`)
      continue
    }
    const name = line.slice(0, colon)
    const nameProblem = userNameProblem(name)
    if (nameProblem !== undefined) {
      problems.push(`${place}: ${nameProblem}`)
      continue
    }
    const hash = parsePasswordHash(line.slice(colon + 1))
    if ('refused' in hash) {
      problems.push(`${place}: expected bcrypt, scrypt or argon2id, found ${hash.refused}; ${REMEDY}`)
      continue
    }
    if (hash.weakness !== undefined) warnings.push(`${place}: ${hash.weakness}; ${REMEDY}`)
    users.set(name, [...(users.get(name) ?? []), hash])
  }
  return problems.length > 0 ? { problems } : { users, warnings }
}
