import type { PasswordHash } from './password-hash.js'

/** Who can log in. Several hashes for one name are several valid passwords, so that one can replace another. */
export type Users = ReadonlyMap<string, readonly PasswordHash[]>

/** What is wrong with a list of users, one line each; no line holds a password or a hash. */
export interface UserProblems {
  readonly problems: readonly string[]
}

/** `@` is taken for names that are mail addresses; `:` ends a name, and the rest would only confuse logs and grants. */
const NAME = /^[A-Za-z0-9._@-]{1,64}$/

/** Why nobody can be called that, or undefined when they can. */
export function userNameProblem(name: string): string | undefined {
  if (!NAME.test(name)) return 'a user name has 1 to 64 of the characters A-Z a-z 0-9 . _ @ -'
  if (name === 'anonymous') return '"anonymous" stands for those who do not log in and cannot be a user name'
  return undefined
}

/** Everybody from all the lists; a name in several of them has all its passwords. */
export function mergeUsers(...lists: readonly Users[]): Users {
  const merged = new Map<string, readonly PasswordHash[]>()
  for (const list of lists) {
    for (const [name, hashes] of list) merged.set(name, [...(merged.get(name) ?? []), ...hashes])
  }
  return merged
}
